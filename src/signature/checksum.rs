//! The checksums of payloads that S3 clients send.
//!
//! Source: AWS, "Checking object integrity in Amazon S3" (Amazon S3 User Guide).

use std::fmt;

use crc_fast::CrcAlgorithm;
use data_encoding::BASE64;
use http::HeaderMap;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::signing_key::SignatureError;

/// A checksum algorithm, named by its header or trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
}

impl ChecksumAlgorithm {
    /// All supported algorithms.
    pub(crate) const ALL: [Self; 6] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256, Self::Sha512];

    /// Returns the algorithm that a header names, in any case.
    pub(crate) fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// Returns the name of the header, in lower case.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
            Self::Sha512 => "x-amz-checksum-sha512",
        }
    }

    /// Parses a checksum: base64 with padding, of the algorithm's length. Returns `None` for
    /// anything else.
    pub(crate) fn parse(self, text: &str) -> Option<Checksum> {
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        (bytes.len() == self.len()).then_some(Checksum { algorithm: self, bytes })
    }

    fn len(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The expected checksum of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    algorithm: ChecksumAlgorithm,
    bytes: Vec<u8>,
}

impl Checksum {
    /// Creates a SHA-256 checksum.
    pub(crate) fn of_sha256(bytes: [u8; 32]) -> Self {
        Self { algorithm: ChecksumAlgorithm::Sha256, bytes: bytes.into() }
    }

    /// Returns the checksum in the headers, if any.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Malformed`] if a checksum is invalid for its algorithm, or if there is
    /// more than one.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<Self>, SignatureError> {
        let mut found = None;
        for algorithm in ChecksumAlgorithm::ALL {
            for value in headers.get_all(algorithm.header()) {
                let checksum = value.to_str().ok().and_then(|text| algorithm.parse(text.trim()));
                let checksum = checksum.ok_or(SignatureError::Malformed)?;
                if found.replace(checksum).is_some() {
                    return Err(SignatureError::Malformed);
                }
            }
        }
        Ok(found)
    }

    /// Creates a hasher whose result must equal this checksum.
    pub(crate) fn hasher(&self) -> Hasher {
        Hasher::new(self.algorithm)
    }
}

/// Computes a checksum as the payload arrives.
#[derive(Clone)]
pub(crate) struct Hasher {
    algorithm: ChecksumAlgorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Creates a hasher without data.
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |algorithm| State::Crc(crc_fast::Digest::new(algorithm));
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(Sha512::new()),
        };
        Self { algorithm, state }
    }

    /// Hashes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
            State::Sha512(digest) => digest.update(bytes),
        }
    }

    /// Returns the checksum of all bytes.
    pub(crate) fn finish(self) -> Checksum {
        let bytes = match self.state {
            // The lowest bytes, in big-endian order.
            State::Crc(digest) => {
                digest.finalize().to_be_bytes()[8 - self.algorithm.len()..].into()
            }
            State::Sha1(digest) => digest.finalize().to_vec(),
            State::Sha256(digest) => digest.finalize().to_vec(),
            State::Sha512(digest) => digest.finalize().to_vec(),
        };
        Checksum { algorithm: self.algorithm, bytes }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The checksums of `123456789`, from the catalog of CRCs and from `sha1sum` and its
    /// siblings.
    const OF_DIGITS: [(ChecksumAlgorithm, &str); 6] = [
        (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
        (ChecksumAlgorithm::Crc32c, "4waSgw=="),
        (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
        (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
        (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        (
            ChecksumAlgorithm::Sha512,
            "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
        ),
    ];

    fn checksum(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn checksums_match_published_values() {
        for (algorithm, text) in OF_DIGITS {
            let computed = checksum(algorithm, b"123456789");
            assert_eq!(algorithm.parse(text).as_ref(), Some(&computed), "{algorithm:?}");
            assert_ne!(checksum(algorithm, b"123456780"), computed, "{algorithm:?}");
        }
    }

    #[test]
    fn checksum_is_padded_base64_of_its_algorithms_length() {
        assert!(ChecksumAlgorithm::Crc32.parse("AAAAAA==").is_some());
        for bad in
            ["", "AAAAAA", "AAAAAA=", "AAAAAB==", "AAAA", "AAAAAAA=", " AAAAAA==", "AAAA-A=="]
        {
            assert_eq!(ChecksumAlgorithm::Crc32.parse(bad), None, "{bad}");
        }
        assert_eq!(ChecksumAlgorithm::Crc64Nvme.parse("AAAAAA=="), None);
    }

    #[test]
    fn header_names_its_algorithm_in_any_case() {
        for algorithm in ChecksumAlgorithm::ALL {
            let name = algorithm.header().to_uppercase();
            assert_eq!(ChecksumAlgorithm::of_header(&name), Some(algorithm));
        }
        for other in ["", "crc32", "x-amz-checksum-", "x-amz-checksum-md5", "x-amz-checksum-crc32 "]
        {
            assert_eq!(ChecksumAlgorithm::of_header(other), None, "{other}");
        }
    }

    #[test]
    fn headers_contain_at_most_one_checksum() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (name.parse().unwrap(), http::HeaderValue::from_static(value))
            });
            let headers: HeaderMap = pairs.collect();
            Checksum::of_headers(&headers)
        };
        let found = ChecksumAlgorithm::Crc32.parse("y/Q5Jg==");
        assert_eq!(headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")]), Ok(found));
        let others = [("x-amz-checksum-type", "FULL_OBJECT"), ("x-amz-checksum-xxhash64", "?")];
        assert_eq!(headers(&others), Ok(None));
        for bad in [
            &[("x-amz-checksum-crc32", "y/Q5Jg==-3")][..],
            &[("x-amz-checksum-crc32", "")],
            &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")],
        ] {
            assert_eq!(headers(bad), Err(SignatureError::Malformed), "{bad:?}");
        }
        let mut doubled = HeaderMap::new();
        for _ in 0..2 {
            let value = http::HeaderValue::from_static("y/Q5Jg==");
            doubled.append("x-amz-checksum-crc32", value);
        }
        assert_eq!(Checksum::of_headers(&doubled), Err(SignatureError::Malformed));
    }

    proptest! {
        #[test]
        fn checksum_is_independent_of_the_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
            at in any::<prop::sample::Index>(),
        ) {
            let (start, end) = bytes.split_at(at.index(bytes.len() + 1));
            for algorithm in ChecksumAlgorithm::ALL {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(start);
                hasher.update(end);
                prop_assert_eq!(hasher.finish(), checksum(algorithm, &bytes));
            }
        }
    }
}
