//! Records as etcd keeps them: JSON of a stable form.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::backend::{BackendError, ListQuery};
use crate::domain::{
    AccessKey, Attributes, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Slot,
    Status, UserId, Version, from_micros, to_micros,
};

use super::error::CorruptKey;
use super::wire::KeyValue;

/// The stored form. Its members are on disk: add, never rename.
#[derive(Deserialize, Serialize)]
struct Stored<'a> {
    id: Cow<'a, str>,
    kind: Cow<'a, str>,
    user_id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slot: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key: Option<Cow<'a, str>>,
    material: Cow<'a, str>,
    status: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delegation: Option<Cow<'a, str>>,
    /// Absent in the records of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_key: Option<bool>,
    #[serde(default, skip_serializing_if = "is_empty")]
    attributes: Cow<'a, Attributes>,
    created_at: i64,
    updated_at: i64,
    version: u64,
}

fn is_empty(attributes: &Attributes) -> bool {
    attributes.is_empty()
}

/// The text that is stored.
pub(super) fn encode(credential: &Credential) -> Zeroizing<Vec<u8>> {
    // Destructured in full so that a new field cannot be forgotten here.
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material,
        status,
        delegation,
        root_key: _,
        attributes,
        created_at,
        updated_at,
        version,
    } = credential;
    let material = material.encode();
    let stored = Stored {
        id: id.as_str().into(),
        kind: kind.as_str().into(),
        user_id: user_id.as_str().into(),
        project_id: project_id.as_ref().map(|id| id.as_str().into()),
        slot: slot.map(|slot| slot.as_str().into()),
        access_key: access_key.as_ref().map(|key| key.as_str().into()),
        material: material.expose().into(),
        status: status.as_str().into(),
        delegation: delegation.as_ref().map(|delegation| delegation.encode().into()),
        root_key: credential.stored_root_key(),
        attributes: Cow::Borrowed(attributes),
        created_at: to_micros(*created_at),
        updated_at: to_micros(*updated_at),
        version: version.get(),
    };
    let text = serde_json::to_vec(&stored);
    Zeroizing::new(text.expect("values with text for keys always serialise"))
}

/// A record that was read.
pub(super) struct Found {
    pub(super) credential: Arc<Credential>,
    /// When it was made.
    pub(super) create_revision: i64,
    /// When it was last written.
    pub(super) mod_revision: i64,
}

/// Reads a stored record.
pub(super) fn decode(found: &KeyValue) -> Result<Found, BackendError> {
    let stored = parse(found)?;
    Ok(Found {
        credential: Arc::new(credential(stored, found)?),
        create_revision: found.create_revision,
        mod_revision: found.mod_revision,
    })
}

/// Reads a stored record if it passes the filters of a query. What they drop is not read
/// further: damage there is the trouble of those who ask for it.
pub(super) fn admitted(
    found: &KeyValue,
    query: &ListQuery,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let stored = parse(found)?;
    let passes = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
    if passes(query.kind.as_ref().map(Kind::as_str), Some(&stored.kind))
        && passes(query.user_id.as_ref().map(UserId::as_str), Some(&stored.user_id))
        && passes(query.project_id.as_ref().map(ProjectId::as_str), stored.project_id.as_deref())
    {
        credential(stored, found).map(|credential| Some(Arc::new(credential)))
    } else {
        Ok(None)
    }
}

fn parse(found: &KeyValue) -> Result<Stored<'_>, BackendError> {
    let stored = serde_json::from_slice(&found.value.0);
    stored.map_err(|_| CorruptKey::new(&found.key.0, "the record").into())
}

fn credential(stored: Stored<'_>, found: &KeyValue) -> Result<Credential, BackendError> {
    if !found.key.0.ends_with(stored.id.as_bytes()) {
        return Err(CorruptKey::new(&found.key.0, "the id").into());
    }
    decoded(stored).map_err(|what| CorruptKey::new(&found.key.0, what).into())
}

fn decoded(stored: Stored<'_>) -> Result<Credential, &'static str> {
    let material = Zeroizing::new(stored.material.into_owned());
    let root_key = stored.root_key;
    let credential = Credential {
        id: CredentialId::from_stored(stored.id),
        kind: Kind::from_stored(stored.kind.into_owned()),
        user_id: UserId::from_stored(stored.user_id),
        project_id: stored.project_id.map(ProjectId::from_stored),
        slot: stored.slot.map(|word| Slot::from_word(&word).ok_or("the slot")).transpose()?,
        access_key: stored.access_key.map(AccessKey::from_stored),
        material: Material::decode(&material).map_err(|_| "the material")?,
        status: Status::from_word(&stored.status).ok_or("the status")?,
        delegation: stored
            .delegation
            .map(|text| Delegation::decode(&text).ok_or("the delegation"))
            .transpose()?,
        root_key,
        attributes: stored.attributes.into_owned(),
        created_at: from_micros(stored.created_at).ok_or("the time of creation")?,
        updated_at: from_micros(stored.updated_at).ok_or("the time of the last write")?,
        version: Version::from_stored(stored.version),
    };
    Ok(credential.with_stored_root_key(root_key))
}
