//! The Keystone client, validator and directory against a Keystone in this
//! process that is slow, broken or down when it is told to be.

mod lookups;
mod outages;
mod own_token;
mod remembering;
mod scripted;
mod tokens;
