//! Changes as the server passes them on: JSON in notifications.

use serde_json::json;

use crate::backend::Change;
use crate::domain::{AccessKey, CredentialId, ProjectId, UserId};

use super::text::original;

/// What a notification may hold, with some room left.
const MAX_BYTES: usize = 7_900;

/// A change, ready to be told. Its texts are those of the columns.
pub(super) fn record(id: &str, access_key: Option<&str>) -> String {
    match access_key {
        Some(key) => json!(["r", id, key]).to_string(),
        None => json!(["r", id]).to_string(),
    }
}

pub(super) fn user(id: &str) -> String {
    json!(["u", id]).to_string()
}

pub(super) fn project(id: &str) -> String {
    json!(["p", id]).to_string()
}

pub(super) fn everything() -> String {
    json!(["e"]).to_string()
}

/// Puts changes into as few notifications as hold them, in order.
pub(super) fn payloads(changes: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for change in changes {
        let change = if change.len() + 2 > MAX_BYTES { everything() } else { change };
        match payloads.last_mut() {
            Some(last) if last.len() + change.len() < MAX_BYTES => {
                last.pop();
                last.push(',');
                last.push_str(&change);
                last.push(']');
            }
            _ => payloads.push(format!("[{change}]")),
        }
    }
    payloads
}

/// The changes of a notification. What cannot be read, as from a later release, may be
/// anything.
pub(super) fn changes(payload: &str) -> Vec<Change> {
    let Ok(told) = serde_json::from_str::<Vec<Vec<String>>>(payload) else {
        return vec![Change::Everything];
    };
    told.iter().map(|parts| change(parts).unwrap_or(Change::Everything)).collect()
}

fn change(parts: &[String]) -> Option<Change> {
    let text = |n: usize| original(parts.get(n)?);
    Some(match (parts.first()?.as_str(), parts.len()) {
        ("r", 2) => Change::deleted(CredentialId::from_stored(text(1)?)),
        ("r", 3) => Change::Record {
            id: CredentialId::from_stored(text(1)?),
            access_key: Some(AccessKey::from_stored(text(2)?)),
        },
        ("u", 2) => Change::User(UserId::from_stored(text(1)?)),
        ("p", 2) => Change::Project(ProjectId::from_stored(text(1)?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_in_order_and_no_notification_is_too_long() {
        let ids: Vec<_> = (0..1_000).map(|n| format!("{n:064}")).collect();
        let told =
            ids.iter().map(|id| record(id, Some("k\"e\\y"))).chain([user("u"), project("p")]);
        let payloads = payloads(told);
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        assert!(payloads.len() < 15, "{}", payloads.len());

        let back: Vec<_> = payloads.iter().flat_map(|payload| changes(payload)).collect();
        let access_key = Some(AccessKey::from_stored("k\"e\\y"));
        let record = |id: &String| Change::Record {
            id: CredentialId::from_stored(id.clone()),
            access_key: access_key.clone(),
        };
        let mut expected: Vec<_> = ids.iter().map(record).collect();
        expected.push(Change::User(UserId::from_stored("u")));
        expected.push(Change::Project(ProjectId::from_stored("p")));
        assert_eq!(back, expected);
    }

    #[test]
    fn what_does_not_fit_or_cannot_be_read_is_everything() {
        let long = payloads([record(&"x".repeat(8_000), None)]);
        for payload in [&*long[0], "", "[[\"later\", \"x\"]]", "[[\"r\"]]", "[[]]"] {
            assert_eq!(changes(payload), [Change::Everything], "{payload}");
        }
    }
}
