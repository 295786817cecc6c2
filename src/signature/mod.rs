//! Checking signatures that were made with S3 and EC2 access keys.
//!
//! Pure functions: no I/O, no clock. A request is parsed into something that
//! knows what was signed ([`S3Request`], [`Ec2Signed`]); that is verified with the
//! key's secret, and asked how [fresh](Freshness) it is.
//!
//! # Unknown keys
//!
//! A key that does not exist must take as long as a wrong signature, or the time
//! of an answer tells which keys exist. Verify with the [`decoy()`] then, and refuse
//! whatever comes out:
//!
//! ```
//! use tower_credentials::{
//!     domain::SecretKey,
//!     signature::{S3Request, decoy},
//! };
//!
//! fn is_genuine(request: &S3Request, found: Option<&SecretKey>) -> bool {
//!     let verified = request.verify(found.unwrap_or(decoy()));
//!     verified && found.is_some()
//! }
//! ```
//!
//! The number of hash blocks is then the same for every secret that can be created
//! (up to 256 bytes) and for the decoy.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//!
//! use tower_credentials::{
//!     domain::{AccessKey, SecretKey},
//!     signature::{S3Request, is_fresh},
//! };
//!
//! let access = AccessKey::from_stored("a1b2c3d4e5f60718293a4b5c6d7e8f90");
//! let token = "UFVUCgp0ZXh0L3BsYWluCkZyaSwgMDIgSmFuIDIwMjYgMDM6MDQ6MDUgR01UCi9idWNrZXQva2V5LnR4dA==";
//! let request = S3Request::parse(access, token, "0Q01BaiWNDGJzN9QznvT8QyhRQM=")?;
//! assert!(request.verify(&SecretKey::from_stored("0f1e2d3c4b5a69788796a5b4c3d2e1f0")));
//!
//! let ttl = Duration::from_mins(15);
//! let signed_at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
//! assert!(is_fresh(request.freshness(), signed_at + ttl, ttl));
//! assert!(!is_fresh(request.freshness(), signed_at + ttl + Duration::from_secs(1), ttl));
//! # Ok::<(), tower_credentials::signature::SignatureError>(())
//! ```

#[cfg(feature = "s3")]
pub(crate) mod checksum;
#[cfg(feature = "s3")]
pub(crate) mod chunked;
pub(crate) mod date;
mod decoy;
mod ec2;
mod error;
#[cfg(feature = "s3")]
pub(crate) mod form;
mod freshness;
pub(crate) mod hash;
#[cfg(feature = "s3")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3")))]
pub mod request;
mod s3;
mod v4;

#[cfg(feature = "s3")]
#[cfg_attr(docsrs, doc(cfg(feature = "s3")))]
pub use self::chunked::{ChunkDecoder, ChunkedError};
#[cfg(feature = "s3")]
pub(crate) use self::date::{format_amz, parse_amz as signed_at};
pub use self::{
    decoy::decoy,
    ec2::{Ec2Request, Ec2Signed},
    error::SignatureError,
    freshness::{Freshness, is_fresh},
    s3::S3Request,
    v4::{ALGORITHM, CredentialScope, SigningKey, parse_signature},
};
