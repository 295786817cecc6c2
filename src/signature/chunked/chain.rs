//! Chained signatures: each covers the previous one.

use std::{fmt, ops::Range, sync::Arc};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::signature::{hash, signing_key::SigningKey};

const PAYLOAD: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const TRAILER: &str = "AWS4-HMAC-SHA256-TRAILER";

/// The SHA-256 of an empty text, in hex: it takes the place of headers in a chunk's string to
/// sign.
const NO_HEADERS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The length of a digest or a signature in hex.
const HEX: usize = 64;

/// The signatures of a payload's chunks, starting with the signature of the request's head.
pub(crate) struct ChunkChain {
    key: Arc<SigningKey>,
    digest: Sha256,
    /// A chunk's string to sign, created once. From chunk to chunk only two parts change, in
    /// place.
    text: Vec<u8>,
    previous: Range<usize>,
}

impl ChunkChain {
    /// Starts with the signature of the head, with its time and scope.
    pub(crate) fn new(key: Arc<SigningKey>, time: &str, scope: &str, seed: &[u8; 32]) -> Self {
        let start = format!("{PAYLOAD}\n{time}\n{scope}\n");
        let previous = start.len()..start.len() + HEX;
        let text = format!("{start}{}\n{NO_HEADERS}\n{NO_HEADERS}", HEXLOWER.encode(seed));
        Self { key, digest: Sha256::new(), text: text.into_bytes(), previous }
    }

    /// Hashes the next bytes of a chunk.
    pub(super) fn update(&mut self, data: &[u8]) {
        self.digest.update(data);
    }

    /// Returns whether this is the signature of the current chunk, and starts the next chunk,
    /// whose signature covers this one.
    pub(super) fn verify_chunk(&mut self, signature: &[u8; 32]) -> bool {
        let hashed = self.digest.finalize_reset();
        let at = self.text.len() - HEX;
        HEXLOWER.encode_mut(&hashed, &mut self.text[at..]);
        let verified = self.key.verify(&self.text, Some(signature));
        HEXLOWER.encode_mut(signature, &mut self.text[self.previous.clone()]);
        verified
    }

    /// Returns whether this is the signature of the trailers, each a line `name:value`.
    pub(super) fn verify_trailers(&self, trailers: &[u8], signature: Option<&[u8; 32]>) -> bool {
        let rest = &self.text[PAYLOAD.len()..=self.previous.end];
        let hashed = HEXLOWER.encode(&hash::sha256(trailers));
        let text = [TRAILER.as_bytes(), rest, hashed.as_bytes()].concat();
        self.key.verify(&text, signature)
    }
}

impl fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everybody who has a signature can use it.
        f.write_str("ChunkChain(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::SecretKey,
        signature::{CredentialScope, parse_signature},
    };

    const TIME: &str = "20130524T000000Z";
    const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";

    fn chain(seed: &str) -> ChunkChain {
        let secret = SecretKey::from_stored("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let scope = CredentialScope::parse(SCOPE).unwrap();
        let key = Arc::new(SigningKey::derive(&secret, &scope));
        ChunkChain::new(key, TIME, SCOPE, &parse_signature(seed).unwrap())
    }

    /// Checks the published signature of a chunk, and returns its string to sign.
    fn signed(chain: &mut ChunkChain, data: &[u8], signature: &str) -> String {
        let before = chain.text[chain.previous.clone()].to_vec();
        chain.update(data);
        assert!(chain.verify_chunk(&parse_signature(signature).unwrap()), "{signature}");
        let mut text = chain.text.clone();
        text[chain.previous.clone()].copy_from_slice(&before);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn aws_documentation_chunks_match_their_signatures() {
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let first = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";
        let second = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497";
        let last = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9";
        let mut chain = chain(seed);
        let text = |previous: &str, hashed: &str| {
            format!("AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{SCOPE}\n{previous}\n{NO_HEADERS}\n{hashed}")
        };

        let hashed = "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a";
        assert_eq!(signed(&mut chain, &vec![b'a'; 65_536], first), text(seed, hashed));
        let hashed = "2edc986847e209b4016e141a6dc8716d3207350f416969382d431539bf292e4a";
        assert_eq!(signed(&mut chain, &[b'a'; 1_024], second), text(first, hashed));
        assert_eq!(signed(&mut chain, b"", last), text(second, NO_HEADERS));
    }

    #[test]
    fn aws_documentation_trailers_match_their_signature() {
        let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
        let mut chain = chain(seed);
        for (size, signature) in [
            (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ] {
            signed(&mut chain, &vec![b'a'; size], signature);
        }
        let trailers = b"x-amz-checksum-crc32c:sOO8/Q==\n";
        let signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
        let signature = parse_signature(signature);
        assert!(chain.verify_trailers(trailers, signature.as_ref()));
        assert!(!chain.verify_trailers(b"x-amz-checksum-crc32c:sOO8/R==\n", signature.as_ref()));
        assert!(!chain.verify_trailers(trailers, None));
    }

    #[test]
    fn older_aws_documentation_trailers_match_their_signature() {
        let seed = "e05ab64fe1dfdbf0b5870abbaabdb063c371d4e96f2767e6934d90529c5ae850";
        let signature = "41e14ac611e27a8bb3d66c3bad6856f209297767d5dd4fc87d8fa9e422e03faf";
        let signature = parse_signature(signature);
        let trailers = b"x-amz-checksum-crc32c:wdBDMA==\n";
        assert!(chain(seed).verify_trailers(trailers, signature.as_ref()));
    }

    #[test]
    fn chain_debug_shows_no_signature() {
        let text = format!("{:?}", chain(&"0a".repeat(32)));
        assert_eq!(text, "ChunkChain(..)");
    }
}
