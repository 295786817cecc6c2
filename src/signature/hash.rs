//! Every digest of this module but those of payloads, and how digests are compared.
//!
//! Secrets of any length that can be created cost the same number of hash blocks:
//! HMAC hashes a key first that is longer than a block (RFC 2104), and a shorter
//! one gets as many blocks of nothing.

use std::hint;

use hmac::{
    Hmac, KeyInit, Mac,
    digest::{Digest, Output},
};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::SecretKey;

/// What SHA-1 and SHA-256 hash at a time, in bytes.
const BLOCK: usize = 64;

/// What padding takes of the last block, in bytes: a bit and the length.
const PADDING: usize = 9;

/// The longest secret that can be created, behind `AWS4`.
const LONGEST_KEY: usize = 4 + 256;

/// SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::<Sha256>(&[bytes]).into()
}

/// HMAC-SHA256 of `message`; `key` is at most a block long.
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    hmac::<Hmac<Sha256>>(key, message).into()
}

/// A key for HMAC-SHA256 that is ready for use: its own blocks are hashed once and not
/// for each message. Wiped when dropped.
#[derive(Clone)]
pub(super) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        #[cfg(test)]
        count::add(2);
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// HMAC-SHA256 of `message`.
    pub(super) fn hmac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        // All but the key's blocks: those of the message, and that of the inner digest.
        #[cfg(test)]
        count::add(blocks(BLOCK + message.len()));
        mac.finalize().into_bytes().into()
    }
}

/// HMAC-SHA1 of `message`; `key` is at most a block long.
pub(super) fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    hmac::<Hmac<Sha1>>(key, message).into()
}

/// Whether `claimed` is the HMAC-SHA256 of `message` under `secret`.
pub(super) fn is_hmac_sha256(secret: &SecretKey, message: &[u8], claimed: Option<&[u8]>) -> bool {
    let computed = hmac_sha256(&*sha256_key("", secret), message);
    equal(&computed, claimed) && !is_blank(secret)
}

/// Whether `claimed` is the HMAC-SHA1 of `message` under `secret`.
pub(super) fn is_hmac_sha1(secret: &SecretKey, message: &[u8], claimed: Option<&[u8]>) -> bool {
    let computed = hmac_sha1(&*key::<Sha1>("", secret), message);
    equal(&computed, claimed) && !is_blank(secret)
}

/// `prefix` and `secret` as a key for HMAC-SHA256.
pub(super) fn sha256_key(prefix: &str, secret: &SecretKey) -> Zeroizing<[u8; BLOCK]> {
    key::<Sha256>(prefix, secret)
}

/// Whether a signature is the computed one, in a time that does not depend on where
/// they differ. No signature is nobody's.
pub(super) fn equal(computed: &[u8], claimed: Option<&[u8]>) -> bool {
    claimed.is_some_and(|claimed| computed.ct_eq(claimed).into())
}

/// Whether a secret is empty: everybody knows that one, so nothing verifies with it.
pub(super) fn is_blank(secret: &SecretKey) -> bool {
    secret.expose().is_empty()
}

/// `prefix` and `secret` as HMAC uses them: hashed if they are longer than a block,
/// then filled up with zeros.
fn key<D: Digest>(prefix: &str, secret: &SecretKey) -> Zeroizing<[u8; BLOCK]> {
    let parts = [prefix.as_bytes(), secret.expose().as_bytes()];
    let len = parts[0].len() + parts[1].len();
    let mut key = Zeroizing::new([0; BLOCK]);
    let spent = if len > BLOCK {
        let mut hashed = digest::<D>(&parts);
        key[..hashed.len()].copy_from_slice(&hashed);
        hashed.as_mut_slice().zeroize();
        blocks(len)
    } else {
        key[..parts[0].len()].copy_from_slice(parts[0]);
        key[parts[0].len()..len].copy_from_slice(parts[1]);
        0
    };
    let missing = blocks(LONGEST_KEY).saturating_sub(spent);
    if missing > 0 {
        let nothing = [0; LONGEST_KEY + BLOCK];
        hint::black_box(digest::<D>(&[&nothing[..missing * BLOCK - PADDING]]));
    }
    key
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Output<D> {
    let mut digest = D::new();
    for part in parts {
        digest.update(part);
    }
    #[cfg(test)]
    count::add(blocks(parts.iter().map(|part| part.len()).sum()));
    digest.finalize()
}

fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Output<M> {
    debug_assert!(key.len() <= BLOCK, "HMAC would hash the key, and nobody would count it");
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    // The outer hash is of a block and a digest, which makes two blocks.
    #[cfg(test)]
    count::add(blocks(BLOCK + message.len()) + 2);
    mac.finalize().into_bytes()
}

/// How many blocks are hashed for so many bytes.
fn blocks(bytes: usize) -> usize {
    (bytes + PADDING).div_ceil(BLOCK)
}

/// Counts the hash blocks of a thread, for tests of equal work.
#[cfg(test)]
pub(crate) mod count {
    use std::cell::Cell;

    thread_local! {
        static BLOCKS: Cell<usize> = const { Cell::new(0) };
    }

    /// How many blocks this module hashes on this thread while `work` runs.
    pub(crate) fn blocks_of<T>(work: impl FnOnce() -> T) -> usize {
        let before = BLOCKS.get();
        work();
        BLOCKS.get() - before
    }

    pub(super) fn add(blocks: usize) {
        BLOCKS.set(BLOCKS.get() + blocks);
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn keys_of_every_length_are_hashed_as_hmac_hashes_them() {
        for len in [1, 48, 60, 61, 64, 65, 128, 256, 300] {
            let text = "k".repeat(len);
            let secret = SecretKey::from_stored(text.clone());
            let mut mac = Hmac::<Sha256>::new_from_slice(format!("AWS4{text}").as_bytes()).unwrap();
            mac.update(b"message");
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(hmac_sha256(&*sha256_key("AWS4", &secret), b"message"), expected, "{len}");

            let mut mac = Hmac::<Sha1>::new_from_slice(text.as_bytes()).unwrap();
            mac.update(b"message");
            let expected: [u8; 20] = mac.finalize().into_bytes().into();
            assert!(is_hmac_sha1(&secret, b"message", Some(&expected)), "{len}");
        }
    }

    #[test]
    fn secrets_of_every_length_that_can_be_created_cost_the_same() {
        let cost = |len| {
            let secret = SecretKey::from_stored("k".repeat(len));
            let sha1 = count::blocks_of(|| is_hmac_sha1(&secret, b"message", Some(&[0; 20])));
            let sha256 = count::blocks_of(|| sha256_key("AWS4", &secret));
            (sha1, sha256)
        };
        for len in 0..=256 {
            assert_eq!(cost(len), cost(48), "{len}");
        }
    }

    #[test]
    fn blocks_are_counted() {
        assert_eq!([0, 55, 56, 64, 119, 120].map(blocks), [1, 1, 2, 2, 2, 3]);
        assert_eq!(count::blocks_of(|| sha256(&[0; 56])), 2);
        assert_eq!(count::blocks_of(|| hmac_sha256(b"key", b"message")), 4);
        let key = HmacKey::new(&[7; 32]);
        assert_eq!(key.hmac(b"message"), hmac_sha256(&[7; 32], b"message"));
        // One of the message and one of the inner digest; the key's two are done.
        assert_eq!(count::blocks_of(|| key.hmac(b"message")), 2);
        assert_eq!(count::blocks_of(|| HmacKey::new(&[7; 32])), 2);
    }

    #[test]
    fn sha256_is_the_published_one() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(HEXLOWER.encode(&sha256(b"")), empty);
    }

    #[test]
    fn only_equal_digests_are_equal() {
        assert!(equal(&[1, 2], Some(&[1, 2])));
        for other in [None, Some(&[1, 3][..]), Some(&[1]), Some(&[1, 2, 3]), Some(&[])] {
            assert!(!equal(&[1, 2], other), "{other:?}");
        }
    }

    #[test]
    fn nothing_verifies_with_an_empty_secret() {
        let blank = SecretKey::from_stored("");
        assert!(!is_hmac_sha1(&blank, b"text", Some(&hmac_sha1(b"", b"text"))));
        assert!(!is_hmac_sha256(&blank, b"text", Some(&hmac_sha256(b"", b"text"))));
    }
}
