//! Writing a form anew, for a store that reads forms itself.
//!
//! Two parsers can read one body in two ways. A store that gets what this crate has read,
//! and nothing else, cannot find other fields than were checked.

use bytes::Bytes;
use http::HeaderValue;
use rand::RngExt;

use super::FormFile;
use crate::signature::form::{FormError, PostForm};

/// A form as it is written: the file goes between head and tail.
#[derive(Debug)]
pub(crate) struct WrittenForm {
    pub(crate) content_type: HeaderValue,
    pub(crate) head: Bytes,
    pub(crate) file: FormFile,
    pub(crate) tail: Bytes,
}

impl WrittenForm {
    /// Writes the fields of a form, with the key that the file is stored under.
    ///
    /// # Errors
    ///
    /// [`FormError::Malformed`] if a field has a name that another parser could read
    /// differently.
    pub(crate) fn new(form: &PostForm, file: FormFile) -> Result<Self, FormError> {
        // Nobody can guess it, so that no value can contain it.
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
        Ok(Self { content_type, head: head.into(), file, tail })
    }
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
