//! Searches responses for secrets.
//!
//! A response may contain a record's secret only if the rules let the caller read it.
//! An error contains no secret, not even that of the request. No response repeats a token.

use std::fmt::Write;

use tower_credentials::domain::Slot;

use crate::{
    callers::TOKEN, judging::Cell, operations::Operation, oracle::Success, records::Seed,
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

/// Checks that the response contains no secret that the caller may not read, and lacks no
/// secret that it should contain.
pub(crate) fn check(cell: &Cell<'_>, answer: &Answer) -> Result<(), String> {
    let text = text(answer);
    let granted = answer.status.is_success();
    if text.contains(TOKEN) {
        return Err("response repeats the token".into());
    }
    let own = granted
        && match cell.operation {
            // A password is never returned.
            Operation::V2Grant { slot, .. } => *slot != Slot::Password,
            Operation::IbmCreate { .. } | Operation::V2Update(..) | Operation::V3Create { .. } => {
                true
            }
            _ => false,
        };
    if text.contains(FRESH) && !own {
        return Err("response contains the secret of the request".into());
    }
    if let Some(seed) = shown(cell)
        && granted
        && !text.contains(&seed.secret())
    {
        return Err("response lacks a secret that the caller may read".into());
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
