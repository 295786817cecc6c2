//! Reads the form of a browser's upload: the fields before the file, then the file as it
//! arrives.
//!
//! The parser of `multer` reads and keeps as much as it can get. A [`gate`] limits what it gets.

mod gate;

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

use self::gate::{Allowance, Gate};
use super::payload_error::{PayloadError, PayloadErrorKind};
use crate::signature::form::{FormError, PostForm, SignedForm};

/// The largest part before the file, in bytes, as in S3.
const BEFORE_FILE: u64 = 20 * 1024;

/// The largest part after the file, in bytes. It is ignored.
const AFTER_FILE: u64 = 20 * 1024;

/// The largest number of fields before the file.
const FIELDS: usize = 100;

/// The name of the file's field.
const FILE: &str = "file";

/// A form that has been read up to its file.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) form: PostForm,
    /// The signature of the form, if any.
    pub(crate) signed: Option<SignedForm>,
    pub(crate) file: FormFile,
}

/// Error of a form that cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Form(FormError),
    /// The body of the request could not be read.
    Transport(Box<dyn StdError + Send + Sync>),
}

/// Reads a form up to its file, and buffers nothing of the file.
///
/// The caller limits the time.
///
/// # Errors
///
/// - [`ReadError::Form`] if `content_type` or the body is not that of a form, if the form has no
///   file or no key, or if the part before the file is larger than in S3.
/// - [`ReadError::Transport`] if the body could not be read.
pub(crate) async fn read<B>(body: B, content_type: &str) -> Result<Upload, ReadError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let boundary = multer::parse_boundary(content_type).map_err(|_| FormError::Malformed)?;
    let allowance = Allowance::new(BEFORE_FILE);
    let gate = Gate::new(body, allowance.clone());
    let mut parts = Multipart::new(BodyDataStream::new(gate), boundary);
    let mut fields = Vec::new();
    loop {
        let field = within(&allowance, parts.next_field()).await?;
        let field = field.ok_or(FormError::MissingFile)?;
        let name = field.name().ok_or(FormError::Malformed)?.to_owned();
        if name.eq_ignore_ascii_case(FILE) {
            let content_type = field.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let file_name = field.file_name().map(ToOwned::to_owned);
            let form = PostForm::new(fields, file_name, content_type.map(ToOwned::to_owned))?;
            let signed = SignedForm::find(&form)?;
            allowance.lift();
            let file =
                FormFile { parts, field: Some(field), allowance, seen: 0, bounds: 0..=u64::MAX };
            return Ok(Upload { form, signed, file });
        }
        if fields.len() == FIELDS {
            return Err(FormError::TooLarge.into());
        }
        let value = within(&allowance, field.bytes()).await?;
        let value = String::from_utf8(value.into()).map_err(|_| FormError::Malformed)?;
        fields.push((name, value));
    }
}

/// The file of a form, and the rest of the form.
pub(crate) struct FormFile {
    parts: Multipart<'static>,
    /// `None` when the file has ended.
    field: Option<Field<'static>>,
    allowance: Allowance,
    seen: u64,
    bounds: RangeInclusive<u64>,
}

impl FormFile {
    /// Limits the length of the file, in bytes.
    pub(crate) fn within(self, bounds: RangeInclusive<u64>) -> Self {
        Self { bounds, ..self }
    }

    /// Returns how many more bytes the file may have.
    pub(super) fn room(&self) -> u64 {
        self.bounds.end().saturating_sub(self.seen)
    }

    /// Returns the next bytes of the file. `None` when the form has ended properly.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, PayloadError>> {
        while let Some(field) = &mut self.field {
            // The future keeps no state between two polls.
            let Some(data) = ready!(pin!(field.chunk()).poll(cx)).map_err(in_file)? else {
                if self.seen < *self.bounds.start() {
                    return Poll::Ready(Err(PayloadError::new(PayloadErrorKind::EntityTooSmall)));
                }
                self.field = None;
                self.allowance.set(AFTER_FILE);
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
                Poll::Pending if self.allowance.is_spent() => {
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

/// Polls the parser in the part before the file.
async fn within<T>(
    allowance: &Allowance,
    parsing: impl Future<Output = multer::Result<T>>,
) -> Result<T, ReadError> {
    let mut parsing = pin!(parsing);
    let parsed = poll_fn(|cx| match parsing.as_mut().poll(cx) {
        Poll::Pending if allowance.is_spent() => Poll::Ready(Err(FormError::TooLarge.into())),
        parsed => parsed.map(|parsed| {
            parsed.map_err(|error| match error {
                multer::Error::StreamReadFailed(source) => ReadError::Transport(source),
                _ => FormError::Malformed.into(),
            })
        }),
    });
    parsed.await
}

/// Converts the parser's error in the file, or after it.
fn in_file(error: multer::Error) -> PayloadError {
    match error {
        multer::Error::StreamReadFailed(source) => PayloadError::transport(source),
        _ => PayloadError::new(PayloadErrorKind::Form),
    }
}

#[cfg(test)]
mod tests;
