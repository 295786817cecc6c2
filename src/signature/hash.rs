//! Digests of strings to sign, and how digests are compared.
//!
//! Every secret that can be created costs the same number of hash blocks. HMAC first
//! hashes a key that is longer than a block (RFC 2104); for a shorter key, this module
//! hashes as many blocks of zeros.

use std::{hint, sync::OnceLock};

use data_encoding::BASE64;
use hmac::{
    Hmac, KeyInit, Mac,
    digest::{Digest, Output},
};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::sha256::{self, KeyedHmac};
use crate::domain::SecretKey;

/// The block size of SHA-1 and SHA-256, in bytes.
pub(super) const BLOCK: usize = 64;

/// The padding in the last block, in bytes: a bit and the length.
pub(super) const PADDING: usize = 9;

/// The length of `AWS4` and the longest secret that can be created.
const LONGEST_KEY: usize = 4 + 256;

/// Returns the SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    #[cfg(test)]
    count::add(blocks(bytes.len()));
    sha256::sha256(bytes)
}

/// Returns the HMAC-SHA256 of `message`. `key` is at most a block long.
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[cfg(test)]
    count::add(hmac_blocks(message));
    KeyedHmac::new(key).of(message)
}

/// Returns the HMAC-SHA1 of `message`. `key` is at most a block long.
pub(super) fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    hmac::<Hmac<Sha1>>(key, message).into()
}

/// Returns whether `claimed` is the HMAC-SHA256 of `message` under `secret`.
pub(super) fn is_hmac_sha256(secret: &SecretKey, message: &[u8], claimed: Option<&[u8]>) -> bool {
    let computed = hmac_sha256(&*sha256_key("", secret), message);
    equal(&computed, claimed) && !is_blank(secret)
}

/// Returns whether `claimed` is the HMAC-SHA1 of `message` under `secret`.
pub(super) fn is_hmac_sha1(secret: &SecretKey, message: &[u8], claimed: Option<&[u8]>) -> bool {
    let computed = hmac_sha1(&*key::<Sha1>("", secret), message);
    equal(&computed, claimed) && !is_blank(secret)
}

/// Returns `prefix` and `secret` as a key for HMAC-SHA256.
pub(super) fn sha256_key(prefix: &str, secret: &SecretKey) -> Zeroizing<[u8; BLOCK]> {
    key::<Sha256>(prefix, secret)
}

/// Returns whether a signature equals the computed one. The time does not depend on where
/// they differ. `None` equals nothing.
pub(super) fn equal(computed: &[u8], claimed: Option<&[u8]>) -> bool {
    claimed.is_some_and(|claimed| computed.ct_eq(claimed).into())
}

/// The same for two SHA-256, in words: a comparison of bytes takes four times as long.
pub(super) fn equal_sha256(computed: &[u8; 32], claimed: Option<&[u8; 32]>) -> bool {
    let words = |digest: &[u8; 32]| -> [u64; 4] {
        let (words, _) = digest.as_chunks();
        std::array::from_fn(|at| u64::from_ne_bytes(words[at]))
    };
    claimed.is_some_and(|claimed| words(computed).ct_eq(&words(claimed)).into())
}

/// Returns whether a secret is empty. Everybody knows the empty secret, so it verifies
/// nothing.
pub(super) fn is_blank(secret: &SecretKey) -> bool {
    secret.expose().is_empty()
}

/// Parses a digest of `N` bytes: base64 with padding. Returns `None` for anything else.
pub(super) fn parse_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Decoding asks for room for the padding as well.
    let mut decoded = [0; 33];
    if text.len() != N.div_ceil(3) * 4 {
        return None;
    }
    let room = decoded.get_mut(..N.div_ceil(3) * 3)?;
    let len = BASE64.decode_mut(text.as_bytes(), room).ok()?;
    decoded[..len].try_into().ok()
}

/// Returns the secret to verify with when a key does not exist, so that the request takes as
/// long as one with a wrong signature.
///
/// The secret is random, has the length of a generated one and is created once per process.
/// If the operating system provides no randomness it is empty, and nothing verifies with an
/// empty secret. Reject the request whatever the result is.
#[must_use]
pub fn decoy() -> &'static SecretKey {
    static DECOY: OnceLock<SecretKey> = OnceLock::new();
    DECOY.get_or_init(|| SecretKey::generate().unwrap_or_else(|_| without_randomness()))
}

/// Not a fixed text: everybody who reads it here could sign with it.
fn without_randomness() -> SecretKey {
    SecretKey::from_stored("")
}

/// Returns `prefix` and `secret` as HMAC uses them: hashed if they are longer than a block,
/// then padded with zeros.
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
    debug_assert!(key.len() <= BLOCK, "HMAC would hash the key, which would not be counted");
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    #[cfg(test)]
    count::add(hmac_blocks(message));
    mac.finalize().into_bytes()
}

/// Returns how many blocks are hashed for a number of bytes.
pub(super) fn blocks(bytes: usize) -> usize {
    (bytes + PADDING).div_ceil(BLOCK)
}

/// Returns how many blocks HMAC hashes. The outer hash is of a block and a digest: two blocks.
#[cfg(test)]
fn hmac_blocks(message: &[u8]) -> usize {
    blocks(BLOCK + message.len()) + 2
}

/// Counts the hash blocks of a thread, for tests of equal cost.
#[cfg(test)]
pub(crate) mod count {
    use std::cell::Cell;

    thread_local! {
        static BLOCKS: Cell<usize> = const { Cell::new(0) };
    }

    /// Returns how many blocks are hashed on this thread while `work` runs.
    pub(crate) fn blocks_of<T>(work: impl FnOnce() -> T) -> usize {
        let before = BLOCKS.get();
        work();
        BLOCKS.get() - before
    }

    pub(crate) fn add(blocks: usize) {
        BLOCKS.set(BLOCKS.get() + blocks);
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn keys_of_every_length_match_plain_hmac() {
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
    fn secrets_of_every_length_cost_the_same() {
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
    }

    #[test]
    fn sha256_matches_published_digest() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(HEXLOWER.encode(&sha256(b"")), empty);
    }

    #[test]
    fn decoy_is_constant_and_as_long_as_a_generated_secret() {
        assert_eq!(decoy(), decoy());
        assert_eq!(decoy().expose().len(), SecretKey::generate().unwrap().expose().len());
    }

    #[test]
    fn decoy_without_randomness_verifies_nothing() {
        let signed = hmac_sha1(b"", b"text");
        assert!(!is_hmac_sha1(&without_randomness(), b"text", Some(&signed)));
    }

    #[test]
    fn only_equal_digests_are_equal() {
        assert!(equal(&[1, 2], Some(&[1, 2])));
        for other in [None, Some(&[1, 3][..]), Some(&[1]), Some(&[1, 2, 3]), Some(&[])] {
            assert!(!equal(&[1, 2], other), "{other:?}");
        }
    }

    #[test]
    fn only_equal_sha256_are_equal() {
        let digest = sha256(b"text");
        assert!(equal_sha256(&digest, Some(&digest)));
        assert!(!equal_sha256(&digest, None));
        for at in 0..32 {
            let mut other = digest;
            other[at] ^= 1;
            assert!(!equal_sha256(&digest, Some(&other)), "{at}");
        }
    }

    #[test]
    fn empty_secret_verifies_nothing() {
        let blank = SecretKey::from_stored("");
        assert!(!is_hmac_sha1(&blank, b"text", Some(&hmac_sha1(b"", b"text"))));
        assert!(!is_hmac_sha256(&blank, b"text", Some(&hmac_sha256(b"", b"text"))));
    }
}
