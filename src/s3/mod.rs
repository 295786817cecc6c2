//! Checking S3 requests before a service sees them.

#[allow(dead_code, reason = "the layer uses it")]
mod body;
#[allow(dead_code, reason = "the layer uses it")]
mod form;
mod payload_error;

pub use self::{
    body::VerifiedBody,
    payload_error::{PayloadError, PayloadErrorKind},
};
pub use crate::signature::form::PostForm;
