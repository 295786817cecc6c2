//! Describing a record without its secret.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value, json};
use tower_credentials::{
    boundary::Boundary,
    domain::{AccessKey, Credential, ProjectId, RotatedFrom, Slot, Status},
};

use crate::times::show;

pub(crate) type Members = Vec<(&'static str, Value)>;

/// The members of a record that a list shows.
pub(crate) fn summary(
    record: &Credential,
    last_used: Option<SystemTime>,
    now: SystemTime,
) -> Members {
    let terms = &record.terms;
    let mut members: Members = vec![
        ("id", record.id.as_str().into()),
        ("access_key", record.access_key.as_ref().map(AccessKey::as_str).into()),
        ("kind", record.kind.as_str().into()),
        ("user_id", record.user_id.as_str().into()),
        ("project_id", record.project_id.as_ref().map(ProjectId::as_str).into()),
        ("name", terms.name().into()),
        ("status", record.status.as_str().into()),
        ("created_at", show(record.created_at).into()),
        ("expires_at", terms.expires_at().map(show).into()),
        ("expired", terms.expires_at().map(|_| record.is_expired(now)).into()),
        ("has_boundary", terms.boundary().is_some().into()),
        ("last_used", last_used.map(show).into()),
    ];
    members.retain(|(_, value)| !value.is_null());
    members
}

/// All members of a record but its secret.
pub(crate) fn details(
    record: &Arc<Credential>,
    last_used: Option<SystemTime>,
    now: SystemTime,
) -> Members {
    let terms = &record.terms;
    let mut members = summary(record, last_used, now);
    members.extend([
        ("description", terms.description().into()),
        ("slot", record.slot.map(Slot::as_str).into()),
        ("root_key", Some(true).filter(|_| record.is_root_key()).into()),
        ("has_secret", record.secret_key().is_some().into()),
        ("delegation", record.delegation.as_ref().map_or(Value::Null, |it| object(&it.encode()))),
        ("attributes", json!(record.attributes)),
        ("updated_at", show(record.updated_at).into()),
        ("enabled_at", terms.enabled_at().map(show).into()),
        ("rotated_from", terms.rotated_from().map_or(Value::Null, rotated_from)),
    ]);
    if let Some(text) = terms.boundary() {
        members.push(("boundary", object(text)));
        members.push(match Boundary::parse(text, record.user_id.as_str()) {
            Ok(boundary) => ("policy", boundary.document().clone()),
            Err(error) => ("boundary_error", error.to_string().into()),
        });
    }
    members
        .retain(|(_, value)| !value.is_null() && value.as_object().is_none_or(|it| !it.is_empty()));
    members
}

/// The status in a table, where a key that has expired is not active.
pub(crate) fn status(record: &Credential, now: SystemTime) -> &'static str {
    match record.status {
        Status::Active if record.is_expired(now) => "Expired",
        status => status.as_str(),
    }
}

fn rotated_from(from: &RotatedFrom) -> Value {
    let mut members = Map::new();
    members.insert("access_key".into(), from.access_key.as_str().into());
    members.insert("expires_at".into(), show(from.expires_at).into());
    members.insert("id".into(), from.id.as_str().into());
    members.into()
}

/// The object in a text of JSON, or else the text.
fn object(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| text.into())
}
