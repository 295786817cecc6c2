//! Payloads in chunks: the content encoding `aws-chunked` of S3.
//!
//! Sources: AWS, "Signature calculations for the Authorization header: transferring
//! payload in multiple chunks" and "...: including trailing headers" (Amazon S3 API
//! Reference); the bodies that the SDKs of AWS and MinIO send.

mod chain;
mod decoder;
mod head;
mod trailers;

pub(crate) use self::chain::ChunkChain;
pub use self::{decoder::ChunkDecoder, head::ChunkedError};

#[cfg(test)]
pub(crate) mod fixtures;
