//! Compares stored records after a request with the rules.

use std::sync::Arc;

use tower_credentials::domain::{AccessKey, Credential, ProjectId, Slot, Status};

use crate::{
    judging::{Cell, Store, is},
    limits::{boundary, end_of, time},
    operations::{Halves, Operation},
    oracle::Made,
    records::Seed,
    running::Minted,
};

impl Cell<'_> {
    /// The record that a create stored.
    pub(crate) fn made(
        &self,
        made: &Made,
        before: &Store,
        after: &Store,
    ) -> Result<Vec<Minted>, String> {
        let new: Vec<_> =
            after.iter().filter(|new| !before.iter().any(|old| is(old, new))).collect();
        let &[record] = &*new else { return Err("create did not add exactly one record".into()) };
        if after.len() != before.len() + 1 {
            return Err("create removed a record".into());
        }
        check("new", record, made)?;
        let chooses = match self.operation {
            Operation::IbmCreate { halves, .. } => *halves == Halves::Both,
            Operation::IbmCreateLimited { .. } | Operation::V3CreateLimited { .. } => true,
            Operation::V3Create { ec2, .. } => *ec2,
            Operation::V2Grant { slot, .. } => *slot != Slot::Password,
            _ => false,
        };
        if chooses && access(record) != Some(&*self.chosen.access) {
            return Err("the new record has an unexpected access key".into());
        }
        Ok(made.ec2.then(|| self.minted(record, made)).into_iter().collect())
    }

    /// The record that a request changed.
    pub(crate) fn changed(
        &self,
        seed: &Seed,
        made: &Made,
        before: &Store,
        after: &Store,
    ) -> Result<Vec<Minted>, String> {
        let (old, new) = only_change(seed, before, after)?;
        check("changed", new, made)?;
        if access(&old) != access(new) {
            return Err("change replaced the access key".into());
        }
        let usable = made.ec2 && seed.has_access_key();
        let minted = || Minted { was_stored: true, ..self.minted(new, made).of(seed) };
        Ok(usable.then(minted).into_iter().collect())
    }

    /// The two records that a rotation with an overlap stored.
    pub(crate) fn rotated(
        &self,
        seed: &Seed,
        (made, retired): (&Made, &Made),
        before: &Store,
        after: &Store,
    ) -> Result<Vec<Minted>, String> {
        let (old, remaining) = pair(seed, before, after)?;
        let is_new = |record: &&Arc<Credential>| before.iter().all(|old| old.id != record.id);
        let added: Vec<_> = after.iter().filter(is_new).collect();
        let &[new] = &*added else { return Err("rotation did not add exactly one record".into()) };
        let rest: Vec<_> = after.iter().filter(|record| !is_new(record)).cloned().collect();
        if rest.len() != before.len() || !others_are_same(seed, before, &rest) {
            return Err("rotation touched another record".into());
        }
        check("new", new, made)?;
        check("retired", remaining, retired)?;
        is_like(&old, new)?;
        is_like(&old, remaining)?;
        if !has_pair_of(&old, remaining) {
            return Err("rotation with an overlap replaced the old pair".into());
        }
        if has_half_of(&old, new) {
            return Err("the new pair has a half of the old one".into());
        }
        let from = new.terms.rotated_from();
        if from.is_none_or(|from| {
            from.id != old.id
                || Some(&from.access_key) != old.access_key.as_ref()
                || retired.end.map(time) != Some(from.expires_at)
        }) {
            return Err("the new record does not name the old one".into());
        }
        Ok(vec![self.minted(new, made).of(seed), self.minted(remaining, retired).of(seed)])
    }

    /// The record whose pair a rotation replaced.
    pub(crate) fn replaced(
        &self,
        seed: &Seed,
        made: &Made,
        before: &Store,
        after: &Store,
    ) -> Result<Vec<Minted>, String> {
        let (old, new) = only_change(seed, before, after)?;
        check("rotated", new, made)?;
        is_like(&old, new)?;
        if has_half_of(&old, new) {
            return Err("the new pair has a half of the old one".into());
        }
        Ok(vec![Minted { replaced: Some(old), ..self.minted(new, made).of(seed) }])
    }

    fn minted(&self, record: &Arc<Credential>, made: &Made) -> Minted {
        let by = format!("{:?} as {}", self.operation, self.caller.name);
        let (record, made) = (Arc::clone(record), made.clone());
        Minted { record, made, by, replaced: None, was_stored: false, sample: None }
            .by(self.operation)
    }
}

/// The record before and after a request.
fn pair<'a>(
    seed: &Seed,
    before: &Store,
    after: &'a Store,
) -> Result<(Arc<Credential>, &'a Arc<Credential>), String> {
    let id = seed.id();
    let old = before.iter().find(|record| record.id == id);
    let new = after.iter().find(|record| record.id == id);
    match (old, new) {
        (Some(old), Some(new)) => Ok((Arc::clone(old), new)),
        _ => Err("the record is missing".into()),
    }
}

/// The record before and after a request that changed no other record.
fn only_change<'a>(
    seed: &Seed,
    before: &Store,
    after: &'a Store,
) -> Result<(Arc<Credential>, &'a Arc<Credential>), String> {
    if before.len() != after.len() || !others_are_same(seed, before, after) {
        return Err("the request touched another record".into());
    }
    pair(seed, before, after)
}

fn others_are_same(seed: &Seed, before: &Store, after: &Store) -> bool {
    // A new access key moves the record to another place.
    let id = seed.id();
    let others = |store: &Store| -> Vec<_> {
        store.iter().filter(|record| record.id != id).cloned().collect()
    };
    let (before, after) = (others(before), others(after));
    before.len() == after.len() && before.iter().zip(&after).all(|(old, new)| is(old, new))
}

/// Checks a record against the rules.
fn check(name: &str, record: &Credential, made: &Made) -> Result<(), String> {
    let status = if made.active { Status::Active } else { Status::Inactive };
    let bounded = record.terms.boundary().map(|text| serde_json::from_str(text).ok());
    for (matches, member) in [
        (record.user_id.as_str() == made.user, "user"),
        (record.project_id.as_ref().map(ProjectId::as_str) == made.project, "project"),
        (record.is_root_key() == made.root, "mark of a root key"),
        (record.root_key.is_some() || name == "changed", "mark"),
        (record.status == status, "status"),
        (record.kind.is_ec2() == made.ec2, "type"),
        (record.slot == made.slot, "slot"),
        (record.delegation == made.delegation, "delegation"),
        (bounded == made.bounded.then(|| Some(boundary())), "boundary"),
        (ends_as(record, made), "expiry"),
    ] {
        if !matches {
            return Err(format!("the {name} record has an unexpected {member}"));
        }
    }
    Ok(())
}

/// Whether the record ends when the rules say. A maximum life may be cut to whole seconds.
fn ends_as(record: &Credential, made: &Made) -> bool {
    match (end_of(record), made.end) {
        (Some(end), Some(expected)) => (expected - 999_999..=expected).contains(&end),
        (end, expected) => end == expected,
    }
}

/// Checks what a rotation keeps, apart from the members that the rules compute.
fn is_like(old: &Credential, new: &Credential) -> Result<(), String> {
    let is_like = old.terms.name() == new.terms.name()
        && old.terms.description() == new.terms.description()
        && old.terms.boundary() == new.terms.boundary()
        && old.attributes == new.attributes
        && old.kind == new.kind
        && old.delegation == new.delegation
        && blob_names(old) == blob_names(new);
    if is_like { Ok(()) } else { Err("rotation changed a term or an attribute".into()) }
}

/// The delegation in the blob of a key pair.
fn blob_names(record: &Credential) -> Option<String> {
    let blob: serde_json::Value = serde_json::from_str(record.blob()?.expose()).ok()?;
    blob["trust_id"].as_str().map(str::to_owned)
}

fn has_pair_of(old: &Credential, new: &Credential) -> bool {
    access(old) == access(new) && old.secret_key() == new.secret_key()
}

fn has_half_of(old: &Credential, new: &Credential) -> bool {
    access(old) == access(new) || old.secret_key() == new.secret_key()
}

fn access(record: &Credential) -> Option<&str> {
    record.access_key.as_ref().map(AccessKey::as_str)
}
