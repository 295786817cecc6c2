//! Access keys as stored in memory.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
};

/// Access keys up to this length are stored in the entry itself, so that comparing them reads
/// no further cache line. Generated access keys have 32 bytes.
const IN_PLACE: usize = 38;

/// The bytes of an access key.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Long(Box<[u8]>),
    Short { length: u8, bytes: [u8; IN_PLACE] },
}

impl Name {
    pub(super) fn new(access_key: &str) -> Self {
        let mut bytes = [0; IN_PLACE];
        match (u8::try_from(access_key.len()), bytes.get_mut(..access_key.len())) {
            (Ok(length), Some(part)) => {
                part.copy_from_slice(access_key.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(access_key.as_bytes().into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Long(bytes) => bytes,
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
        }
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Name {}

// Hashes like the byte slice that it is looked up by.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_any_length_is_its_bytes() {
        for length in [0, 1, 32, 37, 38, 39, 256] {
            let text = "k".repeat(length);
            let name = Name::new(&text);
            assert_eq!(Borrow::<[u8]>::borrow(&name), text.as_bytes());
            assert_eq!(matches!(name, Name::Short { .. }), length <= 38);
            assert_ne!(name, Name::new(&format!("{text}\0")));
        }
        assert_eq!(size_of::<Name>(), 40);
    }
}
