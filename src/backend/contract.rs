//! What stores implement besides [`CredentialBackend`](super::CredentialBackend), and what
//! tools use to maintain them.
//!
//! Every store of this crate implements [`Maintenance`], [`BulkLoad`] and [`ChangeFeed`]; all
//! but etcd implement [`UsageLog`](crate::usage::UsageLog). Authors of other stores start with
//! `CredentialBackend` and its conformance suite (feature `conformance`).

pub use super::{
    bulk::{BulkLoad, Loaded, MAX_LOAD},
    feed::{Change, ChangeFeed, Changes, MAX_FEED_WAIT, Notice},
    maintenance::{MAX_DIFFERENCES, Maintenance, Recount, is_sealed},
    skipping::{Damaged, ListStep, list_skipping_damaged},
};
