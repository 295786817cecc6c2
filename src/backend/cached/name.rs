//! Access keys and ids as stored in memory.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
};

use data_encoding::HEXLOWER;

/// Access keys up to this length are stored in the entry itself, so that comparing them reads
/// no further cache line. Generated access keys have 32 bytes.
const IN_PLACE: usize = 38;

/// The first bytes of the names of ids. Text never has them, so no access key is an id.
const DIGEST: u8 = 0xff;
const ID: u8 = 0xfe;

/// The bytes of an access key or an id.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Long(Box<[u8]>),
    Short { length: u8, bytes: [u8; IN_PLACE] },
}

impl Name {
    pub(super) fn new(access_key: &str) -> Self {
        Self::of_bytes(access_key.as_bytes())
    }

    /// The name of an id. The hex digits of a digest, which most ids are, fit into the entry.
    pub(super) fn of_id(id: &str) -> Self {
        let mut digest = [DIGEST; 33];
        let is_digest =
            id.len() == 64 && HEXLOWER.decode_mut(id.as_bytes(), &mut digest[1..]).is_ok();
        if is_digest {
            Self::of_bytes(&digest)
        } else {
            Self::of_bytes(&[&[ID], id.as_bytes()].concat())
        }
    }

    fn of_bytes(name: &[u8]) -> Self {
        let mut bytes = [0; IN_PLACE];
        match (u8::try_from(name.len()), bytes.get_mut(..name.len())) {
            (Ok(length), Some(part)) => {
                part.copy_from_slice(name);
                Self::Short { length, bytes }
            }
            _ => Self::Long(name.into()),
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

    #[test]
    fn different_ids_and_access_keys_have_different_names() {
        let digest = "0123456789abcdef".repeat(4);
        let upper = digest.to_uppercase();
        let texts = ["", "a", "0", &digest[..62], &digest, &upper, &digest[..32]];
        let names = texts.iter().flat_map(|text| [Name::new(text), Name::of_id(text)]);
        let names: std::collections::HashSet<_> = names.collect();
        assert_eq!(names.len(), 2 * texts.len());
        assert!(matches!(Name::of_id(&digest), Name::Short { .. }));
    }
}
