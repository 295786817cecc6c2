//! Verifies signatures that were made with S3 and EC2 access keys.
//!
//! Pure functions: no I/O, no clock. Parse a request into its string to sign
//! ([`S3TokensRequest`], [`Ec2Signed`]), verify that with the key's secret, and check that the
//! request is [fresh](is_fresh).
//!
//! # Unknown keys
//!
//! A request with a key that does not exist must take as long as one with a wrong signature.
//! Otherwise the response time reveals which keys exist. Verify with [`decoy()`] in that case,
//! and reject the request whatever the result is:
//!
//! ```
//! use tower_credentials::{
//!     domain::SecretKey,
//!     signature::{S3TokensRequest, decoy},
//! };
//!
//! fn is_genuine(request: &S3TokensRequest, found: Option<&SecretKey>) -> bool {
//!     let verified = request.verify(found.unwrap_or(decoy()));
//!     verified && found.is_some()
//! }
//! ```
//!
//! The decoy costs the same number of hash blocks as every secret that can be created (up to
//! 256 bytes).
//!
//! # Hashes
//!
//! The crate `sha2` computes SHA-256. On `x86_64` and `aarch64` it uses the SHA instructions of
//! the processor, if there are any. It detects them at run time, so builds need no flags.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use tower_credentials::{
//!     domain::{AccessKey, SecretKey},
//!     signature::{S3TokensRequest, is_fresh},
//! };
//!
//! let access = AccessKey::from_stored("a1b2c3d4e5f60718293a4b5c6d7e8f90");
//! let token = "UFVUCgp0ZXh0L3BsYWluCkZyaSwgMDIgSmFuIDIwMjYgMDM6MDQ6MDUgR01UCi9idWNrZXQva2V5LnR4dA==";
//! let request = S3TokensRequest::parse(access, token, "0Q01BaiWNDGJzN9QznvT8QyhRQM=")?;
//! assert!(request.verify(&SecretKey::from_stored("0f1e2d3c4b5a69788796a5b4c3d2e1f0")));
//!
//! let skew = Duration::from_mins(15);
//! let signed_at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
//! assert!(is_fresh(request.freshness(), signed_at + skew, skew));
//! assert!(!is_fresh(request.freshness(), signed_at + skew + Duration::from_secs(1), skew));
//! # Ok::<(), tower_credentials::signature::SignatureError>(())
//! ```

#[cfg(feature = "s3")]
pub(crate) mod checksum;
#[cfg(feature = "s3")]
pub(crate) mod chunked;
pub(crate) mod date;
mod ec2tokens;
#[cfg(feature = "s3")]
pub(crate) mod form;
mod freshness;
pub(crate) mod hash;
mod hex;
pub(crate) mod hkdf;
pub mod request;
mod s3tokens;
mod scan;
mod sha256;
mod signing_key;

#[cfg(feature = "s3")]
pub(crate) use self::chunked::ChunkChain;
#[cfg(feature = "s3")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3")))]
pub use self::chunked::{ChunkDecoder, ChunkedError};
#[cfg(feature = "s3")]
pub(crate) use self::date::{format_amz, parse_amz as signed_at};
pub use self::{
    ec2tokens::{Ec2Signed, Ec2TokensRequest},
    freshness::{Freshness, is_fresh},
    hash::decoy,
    s3tokens::S3TokensRequest,
    signing_key::{CredentialScope, SignatureError, SigningKey, parse_signature},
};
