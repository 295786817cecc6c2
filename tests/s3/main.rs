//! `S3AuthLayer` as a black box: signed requests, and the responses or what the app receives.

mod allocating;
mod boundaries;
mod chunks;
mod forms;
mod gate;
mod guarded;
mod keys;
mod mutations;
mod owners;
mod sessions;
mod signers;
mod verified;
use test_support::{aws_signer, counting, installed, world::registry};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;
