//! Tests the Keystone client, validator and directory with a scripted Keystone that can be slow,
//! broken or down.

mod lookups;
mod outages;
mod own_token;
mod remembering;
mod scripted;
mod tokens;
