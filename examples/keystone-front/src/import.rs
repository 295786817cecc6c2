//! `--import`: imports Keystone's credentials into the store.
//!
//! Id, owner, type and blob do not change. A later import adds what is new or has changed in
//! Keystone, but nothing that was deleted or changed in the store.

use std::{collections::HashSet, error::Error, sync::Arc};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::task::JoinSet;
use tower_credentials::keystone::records::{COPY_OF, fingerprint, from_keystone, same_delegation};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    clock::{Clock, SystemClock},
    domain::{Credential, CredentialId, Material, Quota},
    keystone::KeystoneClient,
};

use crate::{
    journal::{Entry, Journal},
    listing,
};

/// How many records are written at once. Backends commit concurrent writes together.
const CONCURRENT_WRITES: usize = 64;

/// How often an update is tried if another process changes the record.
const ATTEMPTS: usize = 3;

#[derive(Default)]
struct Tally {
    read: usize,
    new: usize,
    unchanged: usize,
    updated: usize,
    kept: usize,
    deleted: usize,
    odd: usize,
    failed: usize,
}

enum Outcome {
    New,
    Unchanged,
    Updated,
    /// Changed in the store, and different from Keystone.
    Kept,
    DeletedHere,
}

/// A credential to import.
struct Import {
    new: Credential,
    /// The record that Keystone's credential is a copy of.
    copy_of: Option<CredentialId>,
    /// The journal's entry from an earlier import.
    before: Option<Entry>,
}

/// Imports all credentials, and prints a summary. Fails if a credential was not imported.
pub async fn run(
    client: &KeystoneClient,
    backend: Arc<dyn CredentialBackend>,
    mut journal: Option<Journal>,
) -> Result<(), Box<dyn Error>> {
    let listing = listing::all(client).await?;
    let mut tally = Tally { read: listing.credentials.len(), ..Tally::default() };
    tally.failed += listing.incomplete_users;
    let now = SystemClock.now();
    let known: HashSet<String> = listing.credentials.keys().cloned().collect();
    let (mut regular, mut odd) = (Vec::new(), Vec::new());
    for (id, found) in listing.credentials {
        let copy_of = found.get(COPY_OF).and_then(Value::as_str).map(CredentialId::from_stored);
        let before = journal.as_ref().and_then(|journal| journal.entry(&id)).cloned();
        match from_keystone(found, now) {
            Ok((new, None)) => regular.push(Import { new, copy_of, before }),
            Ok((new, Some(reason))) => {
                tracing::warn!(?id, reason, "odd credential");
                tally.odd += 1;
                odd.push(Import { new, copy_of, before });
            }
            Err(reason) => {
                tracing::error!(?id, reason, "credential not imported");
                tally.failed += 1;
            }
        }
    }

    // Draws on a terminal only.
    let bar = ProgressBar::new((regular.len() + odd.len()) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} credentials, {eta} left")
    {
        bar.set_style(style);
    }
    // Odd ones last: one with a changed access key must not take the access key of a regular one.
    let known = Arc::new(known);
    for batch in [regular, odd] {
        import(batch, &known, &backend, &mut journal, &mut tally, &bar).await?;
    }
    bar.finish_and_clear();

    let Tally { read, new, unchanged, updated, kept, deleted, odd, failed } = tally;
    println!(
        "{read} read, {new} new, {unchanged} unchanged, {updated} updated, {kept} kept, \
         {deleted} deleted here, {odd} odd, {failed} failed"
    );
    if listing.by_user {
        println!("Listed by user: credentials of users that Keystone does not list are missing");
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} credentials were not imported").into()) }
}

async fn import(
    imports: Vec<Import>,
    known: &Arc<HashSet<String>>,
    backend: &Arc<dyn CredentialBackend>,
    journal: &mut Option<Journal>,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Box<dyn Error>> {
    let mut pending = imports.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < CONCURRENT_WRITES
            && let Some(import) = pending.next()
        {
            let (known, backend) = (Arc::clone(known), Arc::clone(backend));
            running.spawn(async move {
                let id = import.new.id.clone();
                let before = import.before.clone();
                let (outcome, entry) = import_one(&*backend, import, &known)
                    .await
                    .map_err(|reason| (id.clone(), reason))?;
                let changed = entry.filter(|entry| before.as_ref() != Some(entry));
                Ok((id, outcome, changed))
            });
        }
        let Some(first) = running.join_next().await else { return Ok(()) };
        let mut finished = vec![first];
        while let Some(next) = running.try_join_next() {
            finished.push(next);
        }
        bar.inc(finished.len() as u64);
        let mut entries = Vec::new();
        for result in finished {
            let result: Result<_, (CredentialId, String)> = match result {
                Ok(result) => result,
                Err(error) => {
                    tally.failed += 1;
                    bar.suspend(|| tracing::error!(%error, "credential not imported"));
                    continue;
                }
            };
            match result {
                Ok((id, outcome, entry)) => {
                    tally.count(&outcome, &id, bar);
                    entries.extend(entry.map(|entry| (id.as_str().to_owned(), entry)));
                }
                Err((id, reason)) => {
                    tally.failed += 1;
                    bar.suspend(|| {
                        tracing::error!(id = id.as_str(), reason, "credential not imported");
                    });
                }
            }
        }
        if let Some(journal) = journal {
            journal
                .append(entries)
                .map_err(|error| format!("cannot write the journal: {error}"))?;
        }
    }
}

impl Tally {
    fn count(&mut self, outcome: &Outcome, id: &CredentialId, bar: &ProgressBar) {
        let log = |message: &str| bar.suspend(|| tracing::info!(id = id.as_str(), "{message}"));
        match outcome {
            Outcome::New => self.new += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Updated => {
                self.updated += 1;
                log("credential changed in Keystone, updated");
            }
            Outcome::Kept => {
                self.kept += 1;
                log("credential changed in the store, not updated");
            }
            Outcome::DeletedHere => {
                self.deleted += 1;
                log("credential deleted from the store, not imported");
            }
        }
    }
}

/// Imports one credential. Returns the outcome, and the new entry for the journal, if any.
async fn import_one(
    backend: &dyn CredentialBackend,
    import: Import,
    known: &HashSet<String>,
) -> Result<(Outcome, Option<Entry>), String> {
    let Import { new, copy_of, before } = import;
    for _ in 0..ATTEMPTS {
        let found = match &before {
            Some(before) => backend.get_latest(&CredentialId::from_stored(&*before.record)).await,
            None => counterpart(backend, &new, copy_of.as_ref(), known).await,
        };
        let Some(old) = found.map_err(|error| message(&error))? else {
            if before.is_some() {
                return Ok((Outcome::DeletedHere, None));
            }
            let entry = entry(&new, true);
            return match backend.insert(&Arc::new(new), Quota::Unlimited).await {
                Ok(()) => Ok((Outcome::New, Some(entry))),
                Err(error) => Err(message(&error)),
            };
        };
        if is_same(&old, &new) {
            return Ok((Outcome::Unchanged, Some(entry(&old, true))));
        }
        let imported = before.as_ref().and_then(|before| before.state.as_ref());
        if imported != Some(&fingerprint(&old)) {
            return Ok((Outcome::Kept, before.is_none().then(|| entry(&old, false))));
        }
        let changed = Arc::new(updated(&old, &new));
        if backend.update(&changed, old.version).await.map_err(|error| message(&error))? {
            return Ok((Outcome::Updated, Some(entry(&changed, true))));
        }
    }
    Err(format!("the record changed in the store during {ATTEMPTS} attempts"))
}

fn entry(record: &Credential, is_as_in_keystone: bool) -> Entry {
    let state = is_as_in_keystone.then(|| fingerprint(record));
    Entry { record: record.id.as_str().to_owned(), state }
}

/// Finds the record of a credential that was not imported before.
async fn counterpart(
    backend: &dyn CredentialBackend,
    new: &Credential,
    copy_of: Option<&CredentialId>,
    known: &HashSet<String>,
) -> Result<Option<Arc<Credential>>, BackendError> {
    if let Some(found) = backend.get_latest(&new.id).await? {
        return Ok(Some(found));
    }
    if let Some(id) = copy_of
        && let Some(found) =
            backend.get_latest(id).await?.filter(|found| found.user_id == new.user_id)
    {
        return Ok(Some(found));
    }
    find_mirrored(backend, new, known).await
}

/// Finds the record that an earlier release mirrored to Keystone, where it has another id.
async fn find_mirrored(
    backend: &dyn CredentialBackend,
    new: &Credential,
    known: &HashSet<String>,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let can_match =
        |old: &Credential| old.user_id == new.user_id && !known.contains(old.id.as_str());
    if let Some(access_key) = &new.access_key {
        let found = backend.find_latest_by_access_key(access_key).await?;
        return Ok(found.filter(|old| can_match(old)));
    }
    let mut query = ListQuery::new(Order::Key);
    query.user_id = Some(new.user_id.clone());
    query.kind = Some(new.kind.clone());
    loop {
        let page = backend.list(&query).await?;
        let same = |old: &&Arc<Credential>| can_match(old) && old.material == new.material;
        if let Some(found) = page.credentials.iter().find(same) {
            return Ok(Some(Arc::clone(found)));
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(None),
        }
    }
}

/// Whether the record equals Keystone's credential, except for the status, which Keystone does not
/// have.
fn is_same(old: &Credential, new: &Credential) -> bool {
    let has_blob = matches!(old.material, Material::Blob(_));
    let same_material = if has_blob {
        old.material == new.material && old.attributes == new.attributes
    } else {
        old.secret_key() == new.secret_key()
    };
    same_material
        && old.kind == new.kind
        && old.user_id == new.user_id
        && old.project_id == new.project_id
        && old.access_key == new.access_key
        && same_delegation(old.delegation.as_ref(), new.delegation.as_ref())
}

/// The record with the changes in Keystone.
fn updated(old: &Credential, new: &Credential) -> Credential {
    let mut changed = old.clone().touched(new.updated_at);
    changed.kind.clone_from(&new.kind);
    changed.user_id.clone_from(&new.user_id);
    changed.project_id.clone_from(&new.project_id);
    changed.access_key.clone_from(&new.access_key);
    if !same_delegation(old.delegation.as_ref(), new.delegation.as_ref()) {
        changed.delegation.clone_from(&new.delegation);
    }
    match (&mut changed.material, new.secret_key()) {
        // A v2 grant has members that a blob cannot contain.
        (Material::Grant { secret, .. }, Some(new)) => secret.clone_from(new),
        (material, _) => {
            material.clone_from(&new.material);
            changed.attributes.clone_from(&new.attributes);
        }
    }
    changed
}

fn message(error: &BackendError) -> String {
    match (error, error.source()) {
        (BackendError::AlreadyExists, _) => "another record has its access key".into(),
        (error, Some(cause)) => format!("{error}: {cause}"),
        (error, None) => error.to_string(),
    }
}
