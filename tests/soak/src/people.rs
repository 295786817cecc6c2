//! Users, projects and tokens, in a file or in a Keystone. Users can be removed and restored.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use crate::{
    keystone::{ADMIN, Away, Keystone},
    waiting::Waiting,
    world::World,
};

/// Users whose keys are created and deleted, two for each worker.
pub(crate) const OWNERS: usize = 6;

/// Users who send hostile requests.
pub(crate) const HOSTILE: [usize; 2] = [6, 7];

/// An admin.
pub(crate) const ROOT: usize = 8;

/// Validates signatures.
const SERVICE: usize = 9;

const USERS: usize = 10;
const PROJECTS: usize = 3;

/// How many seconds the front caches Keystone's data.
pub(crate) const CACHE_SECONDS: &str = "1";

/// The cache time and one second.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(2);

/// The directory caches for five seconds that a user does not exist.
const BACK_WITHIN: Duration = Duration::from_secs(7);

pub(crate) fn user(n: usize) -> String {
    format!("soak-user-{n}")
}

pub(crate) fn project_of(user: usize) -> String {
    format!("soak-project-{}", if HOSTILE.contains(&user) { PROJECTS - 1 } else { user % 2 })
}

pub(crate) fn token(user: usize) -> String {
    format!("soak-token-of-user-{user}")
}

fn roles(user: usize) -> &'static [&'static str] {
    match user {
        ROOT => &["admin"],
        SERVICE => &["service"],
        _ => &["member", "key_management_user", "key_listing_user"],
    }
}

/// The users, in a file or in a Keystone.
pub(crate) struct People {
    source: Source,
    /// Locked during a change.
    away: Mutex<BTreeMap<usize, Away>>,
}

enum Source {
    File(PathBuf),
    Keystone(Keystone),
}

impl People {
    /// In a file of identities.
    pub(crate) fn in_file(path: &Path) -> Self {
        write(path, &BTreeMap::new());
        Self { source: Source::File(path.to_owned()), away: Mutex::default() }
    }

    /// In a Keystone.
    pub(crate) fn in_keystone(keystone: Keystone) -> Self {
        for n in 0..USERS {
            let (id, project) = (user(n), project_of(n));
            let domain = json!({"id": "default", "name": "Default"});
            let roles = roles(n).iter().map(|role| json!({"id": role, "name": role}));
            let members = json!({
                "user": {"id": id, "name": id, "domain": domain},
                "project": {"id": project, "name": project, "domain": domain},
                "roles": roles.collect::<Vec<_>>(),
            });
            keystone.add_token(&token(n), &members);
        }
        Self { source: Source::Keystone(keystone), away: Mutex::default() }
    }

    pub(crate) fn keystone(&self) -> Option<&Keystone> {
        match &self.source {
            Source::File(_) => None,
            Source::Keystone(keystone) => Some(keystone),
        }
    }

    /// The token that may validate signatures.
    pub(crate) fn validating(&self) -> String {
        match &self.source {
            Source::File(_) => token(SERVICE),
            Source::Keystone(_) => ADMIN.to_owned(),
        }
    }

    /// Prevents changes until the guard is dropped.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Away>> {
        self.away.lock().await
    }

    /// Removes or restores a user. Returns when the server must have noticed.
    pub(crate) async fn set(&self, world: &World, n: usize, gone: Option<Away>) {
        let mut away = self.away.lock().await;
        match gone {
            Some(gone) => away.insert(n, gone),
            None => away.remove(&n),
        };
        match &self.source {
            Source::File(path) => {
                write(path, &away);
                let reloads = world.reloads();
                world.server.signal("HUP");
                for () in Waiting::start() {
                    if world.reloads() > reloads {
                        return;
                    }
                    sleep(Waiting::STEP).await;
                }
                world.fault("the identities were not reloaded");
            }
            Source::Keystone(keystone) => {
                keystone.set_away(&user(n), gone);
                // Other users may change while this one waits.
                drop(away);
                sleep(if gone.is_some() { GONE_WITHIN } else { BACK_WITHIN }).await;
            }
        }
    }
}

fn write(path: &Path, away: &BTreeMap<usize, Away>) {
    let mut text = String::new();
    for n in 0..PROJECTS {
        let _ = write!(text, "[[projects]]\nid = \"soak-project-{n}\"\nname = \"p{n}\"\n");
    }
    for n in 0..USERS {
        let (id, project, gone) = (user(n), project_of(n), away.get(&n));
        if matches!(gone, Some(Away::Unknown | Away::Disabled)) {
            continue;
        }
        let _ = write!(text, "[[users]]\nid = \"{id}\"\nname = \"{id}\"\n");
        let place = format!("user_id = \"{id}\"\nproject_id = \"{project}\"\n");
        if gone.is_none() {
            let _ = writeln!(text, "projects = [\"{project}\"]");
            let _ = write!(text, "[[assignments]]\n{place}roles = [\"member\"]\n");
        }
        let (token, roles) = (token(n), roles(n));
        let _ = write!(text, "[[tokens]]\ntoken = \"{token}\"\n{place}roles = {roles:?}\n");
    }
    // Renamed: the server may read the file at any time.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(new, path).unwrap();
}
