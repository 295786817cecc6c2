//! What a sealed text is bound to.

use crate::domain::{AccessKey, Credential, Delegation, ProjectId, Slot};

/// The first bytes of every identity, which name its form.
const FORM: &[u8] = b"tower-credentials/1/record";

/// The bytes that a sealed text is bound to: the key, and whose and what the record is.
/// Not its attributes and times.
///
/// Each text follows its length, and what may be absent follows a byte that says whether
/// it is there, so that no two records have the same bytes. It is on disk: the sealed
/// text opens only with the very same.
pub(super) fn encode(key_id: &str, record: &Credential) -> Vec<u8> {
    // Destructured in full so that a new field cannot be forgotten here.
    let Credential {
        id,
        kind,
        user_id,
        project_id,
        slot,
        access_key,
        material: _,
        status,
        delegation,
        root_key: _,
        attributes: _,
        created_at: _,
        updated_at: _,
        version,
    } = record;
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(FORM);
    for part in [key_id, id.as_str(), kind.as_str(), user_id.as_str(), status.as_str()] {
        put(&mut bytes, part);
    }
    put_optional(&mut bytes, project_id.as_ref().map(ProjectId::as_str));
    put_optional(&mut bytes, slot.map(Slot::as_str));
    put_optional(&mut bytes, access_key.as_ref().map(AccessKey::as_str));
    put_optional(&mut bytes, delegation.as_ref().map(Delegation::encode).as_deref());
    bytes.extend_from_slice(&version.get().to_le_bytes());
    // Texts of earlier releases, which marked no record, end before this.
    bytes.extend(record.stored_root_key().map(u8::from));
    bytes
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn put_optional(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put(bytes, text);
    }
}
