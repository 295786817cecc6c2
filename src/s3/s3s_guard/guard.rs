//! What the guard checks.

use std::{error::Error as StdError, sync::Arc};

use bytes::Bytes;
use http::{Request, header};
use http_body::Body;

use crate::{
    clock::Clock,
    s3::{
        body::VerifiedBody,
        form::{Upload, WrittenForm},
        layer::Anonymous,
        refusal::Refusal,
        signature_rules::SignatureRules,
        upload,
        verifier::with_scratch,
    },
    signature::request::{RequestHead, S3ErrorCode, SignedRequest},
};

/// The guard's settings.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) signatures: SignatureRules,
    pub(super) clock: Arc<dyn Clock>,
}

/// What to do with a request that is not refused.
#[derive(Debug)]
pub(super) enum Decision {
    /// It is a form, whose fields must be read first.
    Form,
    /// `s3s` gets it as it is.
    Pass,
}

/// Subresources that version 2 signs, and that `s3s` leaves out of what it verifies.
const UNSIGNED_BY_S3S: [&str; 3] = ["encryption", "legal-hold", "retention"];

impl Guard {
    /// Checks all that the head of a request says.
    pub(super) fn decide(&self, head: RequestHead<'_>) -> Result<Decision, Refusal> {
        // `s3s` looks at the fields of a form alone, and takes any body of that type for one.
        let is_form = upload::is_form(head);
        match SignedRequest::parse(head)? {
            Some(_) if is_form => Err(misplaced_form()),
            Some(signed) => {
                self.signatures.check(&signed, self.clock.now())?;
                self.check_canonical(head, &signed)?;
                Ok(Decision::Pass)
            }
            // `s3s` takes the name of any scheme for that of version 4.
            None if head.headers().contains_key(header::AUTHORIZATION) => Err(Refusal::anonymous()),
            None if upload::is_upload(head) => Ok(Decision::Form),
            None if is_form => Err(misplaced_form()),
            None if self.signatures.anonymous == Anonymous::Pass => Ok(Decision::Pass),
            None => Err(Refusal::anonymous()),
        }
    }

    /// Refuses what cannot be brought into the one form that is signed: repeated parameters
    /// and headers, signed headers that are missing, and escapes that do not decode.
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
            // `s3s` verifies it as a plain slash, which it is not.
            SignedRequest::V4(_) if has_encoded_slash(head.uri().path()) => {
                let message = "A slash in the path must not be escaped.";
                Err(Refusal::new(S3ErrorCode::InvalidUri, message))
            }
            SignedRequest::V4(request) => Ok(request.write_string_to_sign(text)?),
        })
    }

    /// Reads the fields of a form, checks them, and writes the form anew.
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
        // Only now: what was true when the first field came may not be any more.
        let now = self.clock.now();
        let file = match signed {
            None if self.signatures.anonymous == Anonymous::Pass => file,
            None => return Err(Refusal::anonymous()),
            Some(signed) => {
                self.signatures.check_form(&signed)?;
                let length = upload::check_policy(&self.signatures, &head, &form, &signed, now)?;
                file.within(length)
            }
        };
        let form = WrittenForm::new(&form, file)?;
        upload::remove_headers_of_form(&mut head);
        head.headers.insert(header::CONTENT_TYPE, form.content_type.clone());
        Ok(Request::from_parts(head, VerifiedBody::form(form)))
    }
}

fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|escape| escape.eq_ignore_ascii_case(b"%2f"))
}

fn misplaced_form() -> Refusal {
    let message = "A form can only be posted to a bucket, and only its fields can sign it.";
    Refusal::new(S3ErrorCode::InvalidRequest, message)
}
