//! Searches responses for secrets.
//!
//! A response may contain a record's secret only if the rules let the caller read it.
//! An error contains no secret, not even that of the request. No response repeats a token.

use std::{fmt::Write, sync::Arc};

use tower_credentials::domain::{Credential, SecretKey, Slot};

use crate::{
    callers::TOKEN,
    judging::{Cell, Store},
    operations::Operation,
    oracle::Success,
    records::Seed,
    world::Answer,
};

const STORED: &str = "secret-of-";
const FRESH: &str = "fresh-secret-";

/// The response as text: status line, headers and body.
pub(crate) fn text(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes())).unwrap();
    }
    text.push_str(&String::from_utf8_lossy(&answer.body));
    text
}

/// The record whose secret the response should contain.
fn shown<'a>(cell: &Cell<'a>) -> Option<&'a Seed> {
    let expected = cell.oracle.expected(cell.caller, cell.operation);
    let Some(Success::Shown(number)) = expected.success else { return None };
    let seed = &cell.oracle.records[number];
    cell.oracle.shows_secret(cell.caller, cell.operation, seed).then_some(seed)
}

/// The secret of a key pair that the store did not have before the request.
fn new_secret<'a>(before: &Store, after: &'a Store) -> Option<&'a str> {
    // Comparing pointers is fast, comparing secrets is slow.
    let is_known = |new: &&Arc<Credential>| before.iter().any(|old| Arc::ptr_eq(old, new));
    let fresh = after.iter().filter(|record| !is_known(record) && record.kind.is_ec2());
    let mut secrets = fresh.filter_map(|record| record.secret_key());
    let is_old = |secret: &SecretKey| before.iter().any(|old| old.secret_key() == Some(secret));
    secrets.find(|secret| !is_old(secret)).map(SecretKey::expose)
}

/// Checks that the response contains no secret that the caller may not read, and lacks no
/// secret that it should contain.
pub(crate) fn check(
    cell: &Cell<'_>,
    answer: &Answer,
    before: &Store,
    after: &Store,
) -> Result<(), String> {
    let text = text(answer);
    let granted = answer.status.is_success();
    if text.contains(TOKEN) {
        return Err("response repeats the token".into());
    }
    let own = granted
        && match cell.operation {
            // A password is never returned.
            Operation::V2Grant { slot, .. } => *slot != Slot::Password,
            Operation::IbmCreate { .. }
            | Operation::IbmCreateLimited { .. }
            | Operation::V3Create { .. }
            | Operation::V3CreateLimited { .. } => true,
            Operation::V2Update(..) => !cell.oracle.setting.shows_once,
            _ => false,
        };
    if text.contains(FRESH) && !own {
        return Err("response contains the secret of the request".into());
    }
    if granted
        && let Some(secret) = new_secret(before, after)
        && !text.contains(secret)
        && !matches!(cell.operation, Operation::V2Update(..))
    {
        return Err("response lacks the secret of the new key".into());
    }
    if let Some(seed) = shown(cell)
        && granted
        && !text.contains(&seed.secret())
    {
        return Err("response lacks a secret that the caller may read".into());
    }
    if cell.operation.is_rotation() && text.contains(STORED) {
        return Err("response to a rotation contains an old secret".into());
    }
    for (at, _) in text.match_indices(STORED) {
        let name = text[at + STORED.len()..].split('.').next().unwrap_or_default();
        let seed = cell.oracle.records.iter().find(|seed| seed.name == name);
        let Some(seed) = seed else { return Err("response contains an unknown secret".into()) };
        if !granted {
            return Err("error contains a secret".into());
        }
        if !cell.oracle.shows_secret(cell.caller, cell.operation, seed) {
            return Err("response contains a secret that the caller may not read".into());
        }
    }
    Ok(())
}
