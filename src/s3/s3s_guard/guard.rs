//! The checks of the guard, and the forms that it writes.

use std::{error::Error as StdError, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::Body;
use rand::RngExt;

use crate::{
    clock::Clock,
    s3::{
        body::VerifiedBody, counting::Verifications, form::Upload, refusal::Refusal,
        rules::SignatureRules, s3s_session::SessionTokenOf, sessions, upload,
        verifier::with_scratch,
    },
    session::Presented,
    signature::{
        form::{FormError, PostForm, SESSION_TOKEN},
        request::{RequestHead, S3ErrorCode, SignedRequest},
    },
};

/// The guard's settings.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) signatures: SignatureRules,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) verifications: Arc<Verifications>,
}

/// What to do with a request that is not refused.
#[derive(Debug)]
pub(super) enum Decision {
    /// The request is a form, whose fields must be read first.
    Form,
    /// `s3s` gets the request as it is, with its session token.
    Pass(Option<SessionTokenOf>),
}

/// The subresources that version 2 signs, and that `s3s` leaves out of the string to sign.
const UNSIGNED_BY_S3S: [&str; 3] = ["encryption", "legal-hold", "retention"];

impl Guard {
    /// Checks the head of a request.
    pub(super) fn decide(&self, head: RequestHead<'_>) -> Result<Decision, Refusal> {
        // `s3s` reads only the fields of a form, and treats every body of that type as a form.
        let is_form = upload::is_form(head);
        match SignedRequest::parse(head)? {
            Some(_) if is_form => Err(misplaced_form()),
            Some(signed) => {
                self.signatures.check(&signed, self.clock.now())?;
                self.check_canonical(head, &signed)?;
                let token = signed.session_token();
                let token = token.map(|token| session_of(&token, signed.access_key()));
                Ok(Decision::Pass(token.transpose()?))
            }
            // `s3s` treats every scheme as version 4.
            None if head.headers().contains_key(header::AUTHORIZATION) => Err(Refusal::anonymous()),
            None if upload::is_upload(head) => Ok(Decision::Form),
            None if is_form => Err(misplaced_form()),
            None => {
                let has_token = head.headers().contains_key(SESSION_TOKEN);
                self.signatures.check_anonymous(has_token).map(|()| Decision::Pass(None))
            }
        }
    }

    /// Refuses a request without a canonical form: duplicate parameters and headers, missing
    /// signed headers, and invalid escapes.
    fn check_canonical(
        &self,
        head: RequestHead<'_>,
        signed: &SignedRequest<'_>,
    ) -> Result<(), Refusal> {
        with_scratch(|text| match signed {
            SignedRequest::V2(request) => {
                if let Some(name) = UNSIGNED_BY_S3S.iter().find(|name| request.has_parameter(name))
                {
                    let message = format!("{name} cannot be signed with version 2.");
                    return Err(Refusal::new(S3ErrorCode::InvalidRequest, message));
                }
                let bucket = self.signatures.bucket_of(head)?;
                Ok(request.write_string_to_sign(text, bucket.as_deref())?)
            }
            // `s3s` would verify it as a plain slash.
            SignedRequest::V4(_) if has_encoded_slash(head.uri().path()) => {
                let message = "A slash in the path must not be escaped.";
                Err(Refusal::new(S3ErrorCode::InvalidUri, message))
            }
            SignedRequest::V4(request) => Ok(request.write_string_to_sign(text)?),
        })
    }

    /// Reads the fields of a form, checks them, and writes the form again.
    pub(super) async fn rewrite<B>(
        &self,
        request: Request<B>,
    ) -> Result<Request<VerifiedBody<B>>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        let Upload { form, signed, file } = upload::open(&self.signatures, &head, body).await?;
        // Read the clock only now: the fields may have taken a while to arrive.
        let now = self.clock.now();
        let file = match signed {
            None => {
                self.signatures.check_anonymous(form.field(SESSION_TOKEN).is_some())?;
                file
            }
            Some(signed) => {
                self.signatures.check_form(&signed)?;
                if let Some(token) = signed.session_token() {
                    head.extensions.insert(session_of(token, signed.access())?);
                }
                let length = upload::check_policy(&self.signatures, &head, &form, &signed, now)?;
                file.within(length)
            }
        };
        let written = WrittenForm::new(&form)?;
        // For `S3sAccess`.
        head.extensions.insert(form);
        upload::remove_headers_of_form(&mut head);
        head.headers.insert(header::CONTENT_TYPE, written.content_type);
        let body = VerifiedBody::form(written.head, file, written.tail);
        Ok(Request::from_parts(head, body))
    }
}

/// The text of a form before and after its file.
///
/// Two parsers can read one body in two ways. A store that gets only the fields that the guard
/// has read cannot find other fields than were checked.
#[derive(Debug)]
struct WrittenForm {
    content_type: HeaderValue,
    head: Bytes,
    tail: Bytes,
}

impl WrittenForm {
    /// Writes the fields of a form, with the key that the file will be stored under.
    ///
    /// # Errors
    ///
    /// [`FormError::Malformed`] if a field has a name that another parser could read
    /// differently.
    fn new(form: &PostForm) -> Result<Self, FormError> {
        // The boundary is random, so no value can contain it.
        let boundary = format!("{:032x}", rand::rng().random::<u128>());
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let content_type = HeaderValue::try_from(content_type).map_err(|_| FormError::Malformed)?;
        let mut head = Vec::with_capacity(4_096);
        for (name, value) in form.fields() {
            if name.is_empty() || !name.bytes().all(is_plain) {
                return Err(FormError::Malformed);
            }
            let value = if name.eq_ignore_ascii_case("key") { form.key() } else { value };
            part(&mut head, &boundary, &[name, "\"\r\n\r\n", value, "\r\n"]);
        }
        part(&mut head, &boundary, &["file\"; filename=\"file\"\r\n\r\n"]);
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        Ok(Self { content_type, head: head.into(), tail })
    }
}

fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|escape| escape.eq_ignore_ascii_case(b"%2f"))
}

/// Returns the session token of a request with this access key. `S3sAuth` verifies it.
fn session_of(token: &str, access_key: &str) -> Result<SessionTokenOf, Refusal> {
    Presented::of(token, access_key).ok_or_else(sessions::invalid)?;
    Ok(SessionTokenOf::new(token))
}

fn misplaced_form() -> Refusal {
    let message = "A form can only be posted to a bucket, and only its fields can sign it.";
    Refusal::new(S3ErrorCode::InvalidRequest, message)
}

fn part(head: &mut Vec<u8>, boundary: &str, rest: &[&str]) {
    let start = ["--", boundary, "\r\nContent-Disposition: form-data; name=\""];
    for text in start.iter().chain(rest) {
        head.extend_from_slice(text.as_bytes());
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}
