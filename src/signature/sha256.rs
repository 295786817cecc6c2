//! SHA-256 and HMAC-SHA256 of messages that are in memory as a whole.
//!
//! The general implementations copy the last block into a buffer of their own, and wipe it after
//! each message. Here one call hashes all whole blocks of a message, and only keys are wiped.

use sha2::block_api::compress256;
use zeroize::Zeroize;

/// The block size, in bytes.
const BLOCK: usize = 64;

/// The state before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Returns the SHA-256 of a message.
pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
    finish(INITIAL, 0, message)
}

/// HMAC-SHA256 (RFC 2104) that has hashed its key, once for all messages. Zeroized on drop.
pub(super) struct KeyedHmac {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl KeyedHmac {
    /// The key is at most a block long.
    pub(super) fn new(key: &[u8]) -> Self {
        debug_assert!(key.len() <= BLOCK, "HMAC would hash the key first");
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = INITIAL;
            compress256(&mut state, &[block]);
            block.zeroize();
            state
        };
        Self { inner: keyed(0x36), outer: keyed(0x5c) }
    }

    pub(super) fn of(&self, message: &[u8]) -> [u8; 32] {
        let digest = finish(self.inner, 1, message);
        finish(self.outer, 1, &digest)
    }
}

impl Drop for KeyedHmac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Hashes the message and the padding after a number of blocks that have been hashed.
fn finish(mut state: [u32; 8], hashed: usize, message: &[u8]) -> [u8; 32] {
    let (blocks, rest) = message.as_chunks();
    compress256(&mut state, blocks);
    // A bit, zeros, and the length in bits in the last eight bytes (FIPS 180-4, section 5.1.1).
    let mut last = [[0; BLOCK]; 2];
    last[0][..rest.len()].copy_from_slice(rest);
    last[0][rest.len()] = 0x80;
    let padded = if rest.len() < BLOCK - 8 { 1 } else { 2 };
    let bits = 8 * (hashed * BLOCK + message.len()) as u64;
    last[padded - 1][BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &last[..padded]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn messages_of_every_length_match_the_general_implementations() {
        for length in 0..300 {
            let key = vec![7; length % (BLOCK + 1)];
            let message: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert_eq!(sha256(&message), <[u8; 32]>::from(Sha256::digest(&message)), "{length}");
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(&message);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(KeyedHmac::new(&key).of(&message), expected, "{length}");
        }
    }
}
