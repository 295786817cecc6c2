//! Converts between Keystone's credentials and records of a store.
//!
//! Use these functions to import credentials from a Keystone, or to copy records to it. Start
//! with [`from_keystone`], which converts one credential of Keystone's list to a record.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::domain::{
    AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Material, ProjectId, Status,
    UserId, Version,
};

/// The member of a copy in Keystone that has the id of the copied record. Keystone keeps unknown
/// members, also when the blob changes.
pub const COPY_OF: &str = "front_credential_id";

/// Converts a credential of Keystone's list to a record.
///
/// Also returns a warning if the credential is stored unchanged but cannot be used like others.
///
/// # Errors
///
/// Why the credential cannot be stored. The text contains no value of the credential.
pub fn from_keystone(
    mut found: Map<String, Value>,
    now: SystemTime,
) -> Result<(Credential, Option<&'static str>), &'static str> {
    let mut text = |name: &str| match found.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let id = text("id").filter(|id| !id.is_empty()).ok_or("it has no id")?;
    let kind = text("type").ok_or("it has no type")?;
    let blob = text("blob").ok_or("its blob is not a string")?;
    let user = text("user_id").ok_or("it has no user")?;
    let user = UserId::new(user).map_err(|_| "its user's id cannot be stored")?;
    let project = match found.remove("project_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => {
            Some(ProjectId::new(id).map_err(|_| "its project's id cannot be stored")?)
        }
        Some(_) => return Err("its project's id is not a string"),
    };
    found.remove("links");
    found.remove(COPY_OF);

    let is_pair = kind == Kind::EC2;
    let warning = (kind.is_empty()).then_some("its type is empty");
    let misspelt = !is_pair && kind.eq_ignore_ascii_case(Kind::EC2);
    let warning = if misspelt { Some("its type is ec2 in another case") } else { warning };
    let blob = Blob::new(blob);
    let (pair, warning) = if is_pair { pair(&id, &blob) } else { (None, warning) };
    let mut credential = Credential::new(
        CredentialId::from_stored(id),
        Kind::from_stored(kind),
        user,
        Material::Blob(blob),
        now,
        Version::fresh(),
    );
    credential.project_id = project;
    credential.attributes = found;
    if let Some((access, delegation)) = pair {
        credential.access_key = Some(access);
        credential.delegation = delegation;
    }
    Ok((credential, warning))
}

type Pair = (AccessKey, Option<Delegation>);

/// Parses the blob of a key pair. Returns `None` and a warning if it cannot be used.
fn pair(id: &str, blob: &Blob) -> (Option<Pair>, Option<&'static str>) {
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(blob.expose()) else {
        return (None, Some("its blob is not a JSON object"));
    };
    let Some(access) = members.get("access").and_then(Value::as_str) else {
        return (None, Some("its blob has no access key"));
    };
    let Ok(access) = AccessKey::new(access) else {
        return (None, Some("its access key cannot be used"));
    };
    let Ok(delegation) = blob.delegation() else {
        return (None, Some("its delegation is not valid"));
    };
    let warning = if blob.secret_key().is_none() {
        Some("its blob has no secret, so it never verifies")
    } else if CredentialId::of(&access).as_str() != id {
        Some("its access key was changed; only the new one works here")
    } else {
        None
    };
    (Some((access, delegation)), warning)
}

/// Returns whether two delegations are the same. Ignores what the blob of a key pair does not hold.
#[must_use]
pub fn same_delegation(one: Option<&Delegation>, other: Option<&Delegation>) -> bool {
    use Delegation::ApplicationCredential;
    match (one, other) {
        (
            Some(ApplicationCredential { id: one, .. }),
            Some(ApplicationCredential { id: other, .. }),
        ) => one == other,
        (one, other) => one == other,
    }
}

/// The type of a record in Keystone; `None` for passwords, which Keystone never gets.
#[must_use]
pub fn kind_in_keystone(credential: &Credential) -> Option<&str> {
    match credential.material {
        Material::Blob(_) => Some(credential.kind.as_str()),
        Material::Grant { .. } | Material::KeyPair { .. } => Some(Kind::EC2),
        _ => None,
    }
}

/// Converts a record to Keystone's type and blob.
///
/// Returns `None` for records that Keystone must not get: passwords, pairs without a secret or an
/// access key, root keys, and pairs whose limits Keystone would not keep. Ignores the status.
#[must_use]
pub fn for_keystone(credential: &Credential) -> Option<(&str, Blob)> {
    let (kind, blob) = (kind_in_keystone(credential)?, in_keystone(credential)?);
    // A root key has no user in Keystone, so it would never verify there.
    let fits = !credential.is_root_key()
        && if kind.eq_ignore_ascii_case(Kind::EC2) {
            // Keystone accepts a pair only if its blob has the access key.
            let access = credential.access_key.as_ref();
            kind == Kind::EC2
                && access.is_some()
                && access_in(&blob).as_ref() == access
                && keeps_limits(credential, &blob)
        } else {
            true
        };
    fits.then_some((kind, blob))
}

/// Returns whether a key pair is usable here and must not be copied to Keystone. The copy would
/// have more rights, because Keystone knows neither expiry nor boundary, or because its blob
/// cannot name the pair's delegation.
#[must_use]
pub fn is_unlimited_in_keystone(credential: &Credential) -> bool {
    // An expired pair may get a later expiry.
    credential.is_usable(UNIX_EPOCH)
        && !credential.is_root_key()
        && in_keystone(credential).is_some_and(|blob| !keeps_limits(credential, &blob))
}

/// The blob of a record in Keystone; `None` for passwords and incomplete pairs.
fn in_keystone(credential: &Credential) -> Option<Blob> {
    if let Material::Blob(blob) = &credential.material {
        return Some(blob.clone());
    }
    let (access, secret) = (credential.access_key.as_ref()?, credential.secret_key()?);
    Some(Blob::of_pair(access, Some(secret), credential.delegation.as_ref()))
}

/// Returns whether a key pair has the same limits in Keystone: its blob names the delegation that
/// the pair was created under, and it has no expiry and no boundary.
fn keeps_limits(credential: &Credential, blob: &Blob) -> bool {
    if credential.terms.are_limiting() {
        return false;
    }
    let named = blob.delegation();
    named.is_ok_and(|named| same_delegation(named.as_ref(), credential.delegation.as_ref()))
}

fn access_in(blob: &Blob) -> Option<AccessKey> {
    let members: Map<String, Value> = serde_json::from_str(blob.expose()).ok()?;
    Some(AccessKey::from_stored(members.get("access")?.as_str()?))
}

/// Returns a digest of the parts of a record that an import writes.
pub fn fingerprint(credential: &Credential) -> String {
    let delegation = match &credential.delegation {
        None => json!(null),
        Some(Delegation::AccessToken { id }) => json!(["access_token_id", id]),
        Some(Delegation::ApplicationCredential { id, .. }) => json!(["app_cred_id", id]),
        Some(Delegation::Trust { id }) => json!(["trust_id", id]),
        Some(_) => json!([]),
    };
    let state = json!([
        credential.kind.as_str(),
        credential.user_id.as_str(),
        credential.project_id.as_ref().map(ProjectId::as_str),
        credential.access_key.as_ref().map(AccessKey::as_str),
        delegation,
        credential.material.encode().expose(),
        credential.attributes,
    ]);
    HEXLOWER.encode(&Sha256::digest(state.to_string()))
}

/// Returns whether the record is active. Only active records are copied to Keystone.
#[must_use]
pub fn is_active(credential: &Credential) -> bool {
    credential.status == Status::Active
}
