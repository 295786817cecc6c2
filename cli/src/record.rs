//! The line of a record in an export: one JSON object with these members. Those marked
//! with `?` are optional.
//!
//! | member | meaning |
//! |---|---|
//! | `id`, `kind`, `user_id` | strings |
//! | `project_id?`, `slot?`, `access_key?` | strings; the slot is `ec2`, `password` or `s3` |
//! | `status` | `Active` or `Inactive`; `ActiveLimited` or `InactiveLimited` with an expiry or a boundary |
//! | `expires_at?` | microseconds since 1970 |
//! | `terms?` | name, description, boundary and the other terms: an object, as stores keep it |
//! | `delegation?` | an object, as stores keep it |
//! | `attributes?` | an object, as the client sent it |
//! | `root_key?` | whether it is the root key of its project; only if user and project have equal ids |
//! | `created_at`, `updated_at` | microseconds since 1970 |
//! | `last_used?` | seconds since 1970 |
//! | `version` | a 64-bit number |
//! | `material` | an object, as stores keep it; **it contains the secret** |
//!
//! A line with any other member is rejected, because an import would lose its value. Earlier
//! releases reject a record with terms: they know neither these members nor its status.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_credentials::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, Terms, UserId, Version, from_micros, to_micros,
};

/// Appends the line of a record, with the line feed.
pub(crate) fn write(
    record: &Credential,
    last_used: Option<SystemTime>,
    line: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let written = WrittenLine {
        id: record.id.as_str(),
        kind: record.kind.as_str(),
        user_id: record.user_id.as_str(),
        project_id: record.project_id.as_ref().map(ProjectId::as_str),
        slot: record.slot.map(Slot::as_str),
        access_key: record.access_key.as_ref().map(AccessKey::as_str),
        status: record.stored_status(),
        expires_at: record.terms.expires_at().map(to_micros),
        terms: record.terms.encode().map(|terms| serde_json::from_str(&terms)).transpose()?,
        delegation: record
            .delegation
            .as_ref()
            .map(|delegation| serde_json::from_str(&delegation.encode()))
            .transpose()?,
        root_key: record.root_key.filter(|_| record.has_equal_ids()),
        attributes: Some(&record.attributes).filter(|attributes| !attributes.is_empty()),
        created_at: to_micros(record.created_at),
        updated_at: to_micros(record.updated_at),
        version: record.version.get(),
        last_used: last_used
            .map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
    };
    serde_json::to_writer(&mut *line, &written)?;
    // The encoded material is JSON.
    line.pop();
    line.extend_from_slice(b",\"material\":");
    line.extend_from_slice(record.material.encode().expose().as_bytes());
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// Reads a line: a record, and when it was last used, if that is known. The error names the
/// invalid member.
pub(crate) fn read(line: &[u8]) -> Result<(Credential, Option<SystemTime>), &'static str> {
    let line: ReadLine = serde_json::from_slice(line).map_err(|_| "JSON")?;
    let material = Material::decode(&line.material.to_string()).map_err(|_| "material")?;
    let kind = Kind::from_stored(line.kind);
    let created_at = from_micros(line.created_at).ok_or("created_at")?;
    let mut record = Credential::new(
        CredentialId::from_stored(line.id),
        kind,
        UserId::from_stored(line.user_id),
        material,
        created_at,
        Version::from_stored(line.version),
    );
    record.project_id = line.project_id.map(ProjectId::from_stored);
    let slot = |word: String| Slot::from_word(&word).ok_or("slot");
    record.slot = line.slot.map(slot).transpose()?;
    record.access_key = line.access_key.map(AccessKey::from_stored);
    let expires_at = |micros| from_micros(micros).ok_or("expires_at");
    let expires_at = line.expires_at.map(expires_at).transpose()?;
    let terms = line.terms.map(|terms| terms.to_string());
    record.terms = Terms::decode(terms.as_deref(), expires_at).map_err(|_| "terms")?;
    record.status = Status::from_stored(&line.status, &record.terms).ok_or("status")?;
    let delegation = |form: Value| Delegation::decode(&form.to_string()).ok_or("delegation");
    record.delegation = line.delegation.map(delegation).transpose()?;
    if record.has_equal_ids() {
        // Exports of earlier releases do not have this member.
        record.root_key = line.root_key;
    }
    record.attributes = line.attributes;
    record.updated_at = from_micros(line.updated_at).ok_or("updated_at")?;
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or("last_used");
    Ok((record, line.last_used.map(time).transpose()?))
}

// Existing files contain these names: never rename a member.

#[derive(Serialize)]
struct WrittenLine<'a> {
    id: &'a str,
    kind: &'a str,
    user_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_key: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a Attributes>,
    created_at: i64,
    updated_at: i64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine {
    id: String,
    kind: String,
    user_id: String,
    project_id: Option<String>,
    slot: Option<String>,
    access_key: Option<String>,
    status: String,
    expires_at: Option<i64>,
    terms: Option<Value>,
    delegation: Option<Value>,
    root_key: Option<bool>,
    #[serde(default)]
    attributes: Attributes,
    created_at: i64,
    updated_at: i64,
    version: u64,
    last_used: Option<u64>,
    material: Value,
}
