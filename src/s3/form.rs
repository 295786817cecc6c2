//! Reading the form of a browser's upload: the fields before the file, then the file
//! as it comes.
//!
//! The parser of `multer` takes all that it can get, and keeps it. What it gets is
//! therefore measured out to it: see [`gate`].

mod gate;
#[cfg(feature = "s3s")]
mod written;

use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    ops::RangeInclusive,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::BodyDataStream;
use multer::{Field, Multipart};

use self::gate::{Gate, Ration};
#[cfg(feature = "s3s")]
pub(crate) use self::written::WrittenForm;
use super::payload_error::{PayloadError, PayloadErrorKind};
use crate::signature::form::{FormError, PostForm, SignedForm};

/// The most that may come before the file, in bytes: as in S3.
const BEFORE_FILE: u64 = 20 * 1024;

/// The most that may come after the file, in bytes. It is ignored.
const AFTER_FILE: u64 = 20 * 1024;

/// The most fields that may come before the file.
const FIELDS: usize = 100;

/// The field that is the file.
const FILE: &str = "file";

/// A form, read up to its file.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) form: PostForm,
    /// What signs the form, if anything does.
    pub(crate) signed: Option<SignedForm>,
    pub(crate) file: FormFile,
}

/// Why a form cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Form(FormError),
    /// The request's own body failed.
    Transport(Box<dyn StdError + Send + Sync>),
}

/// Reads a form up to its file, of which nothing is kept.
///
/// How long that may take is for the caller to say.
///
/// # Errors
///
/// [`ReadError::Form`] if `content_type` or the body is not of a form, or the form has
/// no file or no key, or is larger before the file than S3 allows.
pub(crate) async fn read<B>(body: B, content_type: &str) -> Result<Upload, ReadError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let boundary = multer::parse_boundary(content_type).map_err(|_| FormError::Malformed)?;
    let ration = Ration::new(BEFORE_FILE);
    let gate = Gate::new(body, ration.clone());
    let mut parts = Multipart::new(BodyDataStream::new(gate), boundary);
    let mut fields = Vec::new();
    loop {
        let field = within(&ration, parts.next_field()).await?;
        let field = field.ok_or(FormError::MissingFile)?;
        let name = field.name().ok_or(FormError::Malformed)?.to_owned();
        if name.eq_ignore_ascii_case(FILE) {
            let content_type = field.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let file_name = field.file_name().map(ToOwned::to_owned);
            let form = PostForm::new(fields, file_name, content_type.map(ToOwned::to_owned))?;
            let signed = SignedForm::find(&form)?;
            ration.lift();
            let file =
                FormFile { parts, field: Some(field), ration, seen: 0, bounds: 0..=u64::MAX };
            return Ok(Upload { form, signed, file });
        }
        if fields.len() == FIELDS {
            return Err(FormError::TooLarge.into());
        }
        let value = within(&ration, field.bytes()).await?;
        let value = String::from_utf8(value.into()).map_err(|_| FormError::Malformed)?;
        fields.push((name, value));
    }
}

/// The file of a form, and what follows it.
pub(crate) struct FormFile {
    parts: Multipart<'static>,
    /// Gone when the file is over.
    field: Option<Field<'static>>,
    ration: Ration,
    seen: u64,
    bounds: RangeInclusive<u64>,
}

impl FormFile {
    /// Bounds the length of the file, in bytes.
    pub(crate) fn within(self, bounds: RangeInclusive<u64>) -> Self {
        Self { bounds, ..self }
    }

    /// How many bytes more the file may have.
    pub(super) fn room(&self) -> u64 {
        self.bounds.end().saturating_sub(self.seen)
    }

    /// The next bytes of the file; `None` when the form has ended as a form does.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, PayloadError>> {
        while let Some(field) = &mut self.field {
            // The future keeps nothing between two polls.
            let Some(data) = ready!(pin!(field.chunk()).poll(cx)).map_err(in_file)? else {
                if self.seen < *self.bounds.start() {
                    return Poll::Ready(Err(PayloadError::new(PayloadErrorKind::EntityTooSmall)));
                }
                self.field = None;
                self.ration.set(AFTER_FILE);
                break;
            };
            self.seen = self.seen.saturating_add(data.len() as u64);
            if self.seen > *self.bounds.end() {
                return Poll::Ready(Err(PayloadError::new(PayloadErrorKind::EntityTooLarge)));
            }
            if !data.is_empty() {
                return Poll::Ready(Ok(Some(data)));
            }
        }
        loop {
            match self.parts.poll_next_field(cx) {
                Poll::Pending if self.ration.is_spent() => {
                    return Poll::Ready(Err(PayloadError::new(PayloadErrorKind::Form)));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(in_file(error))),
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl From<FormError> for ReadError {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

/// What the parser makes of the part of the form before the file.
async fn within<T>(
    ration: &Ration,
    parsing: impl Future<Output = multer::Result<T>>,
) -> Result<T, ReadError> {
    let mut parsing = pin!(parsing);
    let parsed = poll_fn(|cx| match parsing.as_mut().poll(cx) {
        Poll::Pending if ration.is_spent() => Poll::Ready(Err(FormError::TooLarge.into())),
        parsed => parsed.map(|parsed| {
            parsed.map_err(|error| match error {
                multer::Error::StreamReadFailed(source) => ReadError::Transport(source),
                _ => FormError::Malformed.into(),
            })
        }),
    });
    parsed.await
}

/// The parser's error in the file, or behind it.
fn in_file(error: multer::Error) -> PayloadError {
    match error {
        multer::Error::StreamReadFailed(source) => PayloadError::transport(source),
        _ => PayloadError::new(PayloadErrorKind::Form),
    }
}

#[cfg(test)]
mod tests;
