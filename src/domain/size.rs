//! The size of a record.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::{Credential, Material};

impl Credential {
    /// Returns the approximate size of its text in bytes.
    ///
    /// Clients choose the length of blobs and attributes, so code that keeps many records in
    /// memory limits them in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let material = match &self.material {
            Material::Blob(blob) => blob.expose().len(),
            Material::Grant { username, secret, signature } => {
                username.len() + secret.expose().len() + signature.expose().len()
            }
            Material::KeyPair { secret } => secret.as_ref().map_or(0, |key| key.expose().len()),
            Material::Password { username, .. } => username.len(),
        };
        let attributes = if self.attributes.is_empty() { 0 } else { json_length(&self.attributes) };
        material + attributes + self.terms.size()
    }

    /// Returns the same for the parts of a key pair that IBM's dialect shows: without a blob, and
    /// with no attribute but this one.
    pub(crate) fn size_of_pair(&self, attribute: &str) -> usize {
        let secret = self.secret_key().map_or(0, |key| key.expose().len());
        let attribute = self.attributes.get_key_value(attribute);
        let attribute = attribute.map_or(0, |it| json_length(&BTreeMap::from([it])));
        secret + attribute + self.terms.size()
    }
}

/// Returns the length of the JSON text.
fn json_length(value: &impl Serialize) -> usize {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).map_or(0, |()| length.0)
}

/// Counts the bytes that are written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
