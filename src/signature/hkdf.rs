//! Keys that are derived from a secret key with HKDF-SHA256 (RFC 5869).
//!
//! Deriving from any secret that can be created costs the same number of hash blocks.

use std::hint;

use zeroize::Zeroizing;

use super::hash::{self, hmac_sha256};
use crate::domain::SecretKey;

/// The longest secret that can be created, in bytes.
const LONGEST: usize = 256;

/// The key that all keys of one secret are derived from. Zeroized on drop.
pub(crate) struct DerivingKey(Zeroizing<[u8; 32]>);

impl DerivingKey {
    /// Extracts the key from a secret, without a salt.
    pub(crate) fn extract(secret: &SecretKey) -> Self {
        let secret = secret.expose().as_bytes();
        let missing = message_blocks(LONGEST).saturating_sub(message_blocks(secret.len()));
        if missing > 0 {
            let nothing = [0; LONGEST];
            hint::black_box(hash::sha256(&nothing[..missing * hash::BLOCK - hash::PADDING]));
        }
        Self(Zeroizing::new(hmac_sha256(&[0; 32], secret)))
    }

    /// Derives 32 bytes for a purpose.
    pub(crate) fn expand(&self, purpose: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut message = purpose.concat();
        // The number of the block: one block is all that is needed.
        message.push(1);
        Zeroizing::new(hmac_sha256(&*self.0, &message))
    }
}

opaque_debug!(DerivingKey);

fn message_blocks(len: usize) -> usize {
    hash::blocks(hash::BLOCK + len)
}

/// Returns the HMAC-SHA256 of a message.
pub(crate) fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    hmac_sha256(key, message)
}

/// Returns whether these are the same MAC. Compares in constant time.
pub(crate) fn is_same_mac(computed: &[u8; 32], claimed: &[u8; 32]) -> bool {
    hash::equal_sha256(computed, Some(claimed))
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn keys_are_those_of_rfc_5869() {
        // Test case 3, whose secret is text: 22 bytes 0x0b, no salt, no purpose.
        let secret = SecretKey::from_stored("\u{b}".repeat(22));
        let key = DerivingKey::extract(&secret);
        let extracted = "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04";
        assert_eq!(HEXLOWER.encode(&*key.0), extracted);
        let expanded = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(HEXLOWER.encode(&*key.expand(&[])), expanded);
    }

    #[test]
    fn every_secret_costs_the_same() {
        let cost = |len: usize| {
            let secret = SecretKey::from_stored("s".repeat(len));
            hash::count::blocks_of(|| DerivingKey::extract(&secret))
        };
        for len in [0, 1, 48, 55, 56, 64, 119, 120, 200, 256] {
            assert_eq!(cost(len), cost(48), "{len}");
        }
    }
}
