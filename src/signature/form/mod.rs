//! Forms that browsers upload files with: the signature and the policy among their fields.
//!
//! Sources: AWS, "POST Object" and "Authenticating requests in browser-based uploads
//! using POST" (Amazon S3 API Reference); for version 2, "Browser-based uploads using
//! POST" (Amazon S3 Developer Guide).

mod fields;
mod policy;
mod signed;

pub use self::fields::PostForm;
pub(crate) use self::{
    fields::FormError,
    signed::{SESSION_TOKEN, SignedForm},
};

#[cfg(test)]
pub(crate) mod fixtures;
