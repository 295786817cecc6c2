//! Writes JSON bodies straight into their buffer.

use std::fmt::Display;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::authority::View;

/// The room for what is around the credentials, and for one credential of ordinary length, in
/// bytes. Longer bodies grow.
const AROUND: usize = 256;
const EACH: usize = 512;

/// Writes a body with this number of credentials. It ends in a newline.
pub(super) fn json(body: &impl Serialize, credentials: usize) -> Bytes {
    let mut text = Vec::with_capacity(AROUND + credentials * EACH);
    serde_json::to_writer(&mut text, body).expect("writing to memory cannot fail");
    text.push(b'\n');
    text.into()
}

/// A list that makes each item when it is written.
pub(super) struct Each<'a, F> {
    pub(super) views: &'a [View],
    pub(super) shape: F,
}

impl<'a, F, T> Serialize for Each<'a, F>
where
    F: Fn(&'a View) -> T,
    T: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.views.iter().map(&self.shape))
    }
}

/// A member `self` with a URL.
pub(super) struct SelfLink<T>(pub(super) T);

impl<T: Display> Serialize for SelfLink<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<T: Display> {
            #[serde(rename = "self", serialize_with = "display")]
            own: T,
        }

        Members { own: &self.0 }.serialize(serializer)
    }
}

/// Writes a text without a copy of it.
pub(super) fn display<S: Serializer>(
    text: &impl Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}
