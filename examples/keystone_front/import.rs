//! The credentials that Keystone has, taken over into the store.
//!
//! Each keeps its id, owner, type and blob to the letter. Running it again changes
//! nothing that has not changed in Keystone; what was deleted there stays here.

use std::{collections::HashSet, error::Error, sync::Arc};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tower_credentials::{
    backend::{BackendError, CredentialBackend, ListQuery, Order},
    clock::{Clock, SystemClock},
    domain::{Credential, Material, Quota},
    keystone::KeystoneClient,
};

use crate::{
    listing,
    records::{from_keystone, same_delegation},
};

/// How many records are written at once: backends commit what comes together.
const AT_ONCE: usize = 64;

/// How often an update is tried anew that somebody else came before.
const ATTEMPTS: usize = 3;

#[derive(Default)]
struct Tally {
    read: usize,
    new: usize,
    unchanged: usize,
    updated: usize,
    odd: usize,
    failed: usize,
}

enum Outcome {
    New,
    Unchanged,
    Updated,
}

/// Imports all, prints a line of numbers, and fails if any record did.
pub(crate) async fn run(
    client: &KeystoneClient,
    backend: Arc<dyn CredentialBackend>,
) -> Result<(), Box<dyn Error>> {
    let listing = listing::all(client).await?;
    let mut tally = Tally { read: listing.credentials.len(), ..Tally::default() };
    tally.failed += listing.incomplete;
    let now = SystemClock.now();
    let known: HashSet<String> = listing.credentials.keys().cloned().collect();
    let (mut regular, mut odd) = (Vec::new(), Vec::new());
    for (id, found) in listing.credentials {
        match from_keystone(found, now) {
            Ok((credential, None)) => regular.push(credential),
            Ok((credential, Some(why))) => {
                tracing::warn!(id, "odd: {why}");
                tally.odd += 1;
                odd.push(credential);
            }
            Err(why) => {
                tracing::error!(id, "not imported: {why}");
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
    // The odd ones last: an access key that was changed must not take another's place.
    let known = Arc::new(known);
    for batch in [regular, odd] {
        import(batch, &known, &backend, &mut tally, &bar).await;
    }
    bar.finish_and_clear();

    let Tally { read, new, unchanged, updated, odd, failed } = tally;
    println!(
        "{read} read, {new} new, {unchanged} unchanged, {updated} updated, {odd} odd, {failed} failed"
    );
    if failed == 0 { Ok(()) } else { Err(format!("{failed} not imported").into()) }
}

async fn import(
    credentials: Vec<Credential>,
    known: &Arc<HashSet<String>>,
    backend: &Arc<dyn CredentialBackend>,
    tally: &mut Tally,
    bar: &ProgressBar,
) {
    let mut waiting = credentials.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(credential) = waiting.next()
        {
            let (known, backend) = (Arc::clone(known), Arc::clone(backend));
            running.spawn(async move {
                let id = credential.id.clone();
                (id, one(&*backend, credential, &known).await)
            });
        }
        let Some(done) = running.join_next().await else { return };
        bar.inc(1);
        match done {
            Ok((_, Ok(Outcome::New))) => tally.new += 1,
            Ok((_, Ok(Outcome::Unchanged))) => tally.unchanged += 1,
            Ok((id, Ok(Outcome::Updated))) => {
                tally.updated += 1;
                bar.suspend(|| tracing::info!(%id, "changed in Keystone, updated"));
            }
            Ok((id, Err(why))) => {
                tally.failed += 1;
                bar.suspend(|| tracing::error!(%id, "not imported: {why}"));
            }
            Err(error) => {
                tally.failed += 1;
                bar.suspend(|| tracing::error!(%error, "not imported"));
            }
        }
    }
}

async fn one(
    backend: &dyn CredentialBackend,
    new: Credential,
    known: &HashSet<String>,
) -> Result<Outcome, String> {
    for _ in 0..ATTEMPTS {
        let old = match backend.get(&new.id).await.map_err(|error| told(&error))? {
            Some(old) => Some(old),
            None => elsewhere(backend, &new, known).await.map_err(|error| told(&error))?,
        };
        let Some(old) = old else {
            return match backend.insert(&Arc::new(new), Quota::Unlimited).await {
                Ok(()) => Ok(Outcome::New),
                Err(error) => Err(told(&error)),
            };
        };
        if same(&old, &new) {
            return Ok(Outcome::Unchanged);
        }
        let changed = Arc::new(brought_up_to_date(&old, &new));
        if backend.update(&changed, old.version).await.map_err(|error| told(&error))? {
            return Ok(Outcome::Updated);
        }
    }
    Err("it changes in the store all the time".into())
}

/// The record that went to Keystone from here, where Keystone gave it another id.
async fn elsewhere(
    backend: &dyn CredentialBackend,
    new: &Credential,
    known: &HashSet<String>,
) -> Result<Option<Arc<Credential>>, BackendError> {
    let is_it = |old: &Credential| old.user_id == new.user_id && !known.contains(old.id.as_str());
    if let Some(access_key) = &new.access_key {
        let found = backend.find_by_access_key(access_key).await?;
        return Ok(found.filter(|old| is_it(old)));
    }
    let mut query = ListQuery::new(Order::Id);
    query.user_id = Some(new.user_id.clone());
    query.kind = Some(new.kind.clone());
    loop {
        let page = backend.list(&query).await?;
        let same = |old: &&Arc<Credential>| is_it(old) && old.material == new.material;
        if let Some(found) = page.credentials.iter().find(same) {
            return Ok(Some(Arc::clone(found)));
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(None),
        }
    }
}

/// Whether what Keystone has is what is here; a status is only here.
fn same(old: &Credential, new: &Credential) -> bool {
    let as_it_came = matches!(old.material, Material::Blob(_));
    let material = if as_it_came {
        old.material == new.material && old.attributes == new.attributes
    } else {
        old.secret_key() == new.secret_key()
    };
    material
        && old.kind == new.kind
        && old.user_id == new.user_id
        && old.project_id == new.project_id
        && old.access_key == new.access_key
        && same_delegation(old.delegation.as_ref(), new.delegation.as_ref())
}

/// The record here with what has changed in Keystone.
fn brought_up_to_date(old: &Credential, new: &Credential) -> Credential {
    let mut changed = old.clone().touched(new.updated_at);
    changed.kind.clone_from(&new.kind);
    changed.user_id.clone_from(&new.user_id);
    changed.project_id.clone_from(&new.project_id);
    changed.access_key.clone_from(&new.access_key);
    if !same_delegation(old.delegation.as_ref(), new.delegation.as_ref()) {
        changed.delegation.clone_from(&new.delegation);
    }
    match (&mut changed.material, new.secret_key()) {
        // Its place in v2 shows more than a blob can hold.
        (Material::Grant { secret, .. }, Some(new)) => secret.clone_from(new),
        (material, _) => {
            material.clone_from(&new.material);
            changed.attributes.clone_from(&new.attributes);
        }
    }
    changed
}

fn told(error: &BackendError) -> String {
    match (error, error.source()) {
        (BackendError::AlreadyExists, _) => "its access key belongs to another record".into(),
        (error, Some(cause)) => format!("{error}: {cause}"),
        (error, None) => error.to_string(),
    }
}
