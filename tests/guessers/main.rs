//! Guessers as a black box: which responses are late, of each layer, and what is counted.
//!
//! The time of tokio stands still unless all tasks wait, so no test takes as long as the pauses.

mod bounds;
mod late;
mod minting;
mod s3;
mod s3s;
mod signatures;
mod sources;
mod tokens;

use test_support::counting;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;
