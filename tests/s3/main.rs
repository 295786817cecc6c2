//! `S3AuthLayer`, from outside: signed requests in, answers or the app's view out.

#![allow(missing_docs)]

mod allocating;
#[path = "../common/aws_signer.rs"]
mod aws_signer;
mod chunks;
#[path = "../common/counting.rs"]
mod counting;
mod forms;
mod gate;
mod guarded;
#[path = "../common/installed.rs"]
mod installed;
mod keys;
mod mutations;
mod owners;
#[path = "../common/registry.rs"]
mod registry;
mod signers;
mod verified;
