//! Access to private parsers for the fuzz targets in `fuzz/`.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    ops::RangeInclusive,
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use bytes::Bytes;
use http_body::Body;

use crate::{
    dialect::{aws_iam, aws_sts, query_api},
    domain::SecretKey,
    s3::{self, PostForm},
    session::{Presented, Session},
    signature::{date, form::SignedForm, format_amz},
};

/// More polls than reading a short input needs.
const POLLS: usize = 100_000;

/// Checks a form's policy for this bucket `now`. Returns the allowed size of the file. `None` if
/// the form is rejected or not signed.
#[must_use]
pub fn policy(form: &PostForm, bucket: &str, now: SystemTime) -> Option<RangeInclusive<u64>> {
    let signed = SignedForm::find(form).ok()??;
    let _ = signed.verify(&SecretKey::from_stored("secret"));
    signed.check(form, bucket, now).ok()
}

/// Creates a form from its fields.
#[must_use]
pub fn form(fields: Vec<(String, String)>, file_name: Option<String>) -> Option<PostForm> {
    PostForm::new(fields, file_name, None).ok()
}

/// Reads the fields and the file of a form.
///
/// # Panics
///
/// If reading does not end.
#[must_use]
pub fn upload<B>(body: B, content_type: &str) -> Option<(PostForm, Vec<u8>)>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let reading = async {
        let mut upload = s3::form::read(body, content_type).await.ok()?;
        let mut file = Vec::new();
        while let Some(data) = poll_fn(|cx| upload.file.poll_data(cx)).await.ok()? {
            file.extend_from_slice(&data);
        }
        Some((upload.form, file))
    };
    let mut reading = pin!(reading);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..POLLS {
        if let Poll::Ready(read) = reading.as_mut().poll(&mut cx) {
            return read;
        }
    }
    panic!("reading the form does not end");
}

/// Parses a session token. Returns the session that it claims, and whether a session with the same
/// claims has the same text.
#[must_use]
pub fn session(token: &str) -> Option<(Session, bool)> {
    let presented = Presented::parse(token)?;
    let (_, is_genuine) = presented.open(&SecretKey::from_stored("0".repeat(48)));
    assert!(!is_genuine, "nobody knows the secret");
    let session = (**presented.session()).clone();
    let again = session.mint(&SecretKey::from_stored("1".repeat(48))).ok()?;
    let same = Presented::parse(again.session_token.expose()).map(|it| (**it.session()).clone());
    let is_same = same.as_ref() == Some(&session);
    Some((session, is_same))
}

/// Parses the parameters of a request to IAM and to STS. Returns whether each API takes them.
#[must_use]
pub fn query(body: &[u8]) -> Option<[bool; 2]> {
    let params = query_api::Params::parse(body).ok()?;
    Some([aws_iam::Operation::parse(&params).is_ok(), aws_sts::Operation::parse(&params).is_ok()])
}

/// Parses a text in each date format of signatures.
#[must_use]
pub fn dates(text: &str) -> [Option<SystemTime>; 4] {
    [date::parse_amz(text), date::parse_iso(text), date::parse_http(text), date::parse_epoch(text)]
}

/// Formats a time as in `X-Amz-Date`.
#[must_use]
pub fn amz_date(time: SystemTime) -> String {
    format_amz(time)
}
