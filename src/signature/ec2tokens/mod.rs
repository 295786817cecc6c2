//! Signatures of EC2-style requests, of every version that existed.
//!
//! Sources: the Identity API of OpenStack Keystone, `POST /v3/ec2tokens`; AWS,
//! "Signature version 2" and "Create a signed AWS API request".

mod canonical;
mod request;
mod signed;

pub use self::{request::Ec2TokensRequest, signed::Ec2Signed};

#[cfg(test)]
mod fixtures;
