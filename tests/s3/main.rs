//! `S3AuthLayer`, from outside: signed requests in, answers or the app's view out.

#![allow(missing_docs)]

#[path = "../common/aws_signer.rs"]
mod aws_signer;
mod gate;
mod keys;
mod verified;
