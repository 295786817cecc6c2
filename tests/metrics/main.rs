//! What the library reports to a recorder of the crate `metrics`.

mod caches;
mod catalog;
mod documents;
mod keys;
mod keystone;
mod recorder;
mod requests;
mod sessions;
mod stores;
mod verifications;

use test_support::counting;

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;
