//! The commands that change one key: `key create`, `rotate`, `disable`, `enable` and `delete`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_credentials::{
    backend::{BackendError, CredentialBackend, OpenMode, StoreBackend},
    boundary::Boundary,
    clock::{Clock, SystemClock},
    domain::{
        AccessKey, Credential, CredentialId, Kind, Material, ProjectId, Quota, Rotation, SecretKey,
        Status, Terms, UserId, Version, generate_pair,
    },
    secret_files::SecretFiles,
};

use crate::{
    description::summary,
    files::read_text,
    key_options::{CreateKey, KeyArgs, KeyCommand, RotateKey},
    report::{Exit, Failure, Report},
    store::{open, retry},
    times::show,
};

type Backend = Arc<dyn StoreBackend>;

/// How often to try to change a record that others change meanwhile.
const ATTEMPTS: usize = 10;

/// The shortest time in which a new key may expire.
const MIN_LIFE: Duration = Duration::from_mins(1);

pub(crate) async fn run(command: KeyCommand, files: SecretFiles) -> Result<Report, Failure> {
    match command {
        KeyCommand::Create(options) => create(options, files).await,
        KeyCommand::Delete(key) => delete(key, files).await,
        KeyCommand::Disable(key) => set_status(key, Status::Inactive, files).await,
        KeyCommand::Enable(key) => set_status(key, Status::Active, files).await,
        KeyCommand::Rotate(options) => rotate(options, files).await,
    }
}

async fn create(options: CreateKey, files: SecretFiles) -> Result<Report, Failure> {
    let now = SystemClock.now();
    let CreateKey { store, user, project, name, description, expires, boundary } = options;
    let user_id = UserId::new(user).map_err(|error| usage("--user", &error))?;
    let project_id = project.map(ProjectId::new).transpose();
    let project_id = project_id.map_err(|error| usage("--project", &error))?;
    let mut terms = Terms::default();
    terms.set_name(name).map_err(|error| Failure::of(Exit::Usage, &error))?;
    terms.set_description(description).map_err(|error| Failure::of(Exit::Usage, &error))?;
    if let Some(expires) = expires {
        let end = expires.time(now, "--expires")?;
        if end < now + MIN_LIFE {
            let message = "--expires must be at least 60 seconds from now";
            return Err(Failure::new(Exit::Usage, message));
        }
        terms.set_expires_at(Some(end));
    }
    if let Some(file) = boundary {
        let text = read_text("boundary", &file)?;
        Boundary::parse(&text, user_id.as_str())
            .map_err(|error| Failure::of(Exit::Usage, &error))?;
        terms.set_boundary(Some(text));
    }

    let backend = open(&store, files, OpenMode::Existing).await?.backend();
    let (access_key, secret) = generate_pair().map_err(|e| Failure::of(Exit::Problem, &e))?;
    let id = CredentialId::of(&access_key);
    let material = Material::KeyPair { secret: Some(secret) };
    let mut record = Credential::new(id, Kind::ec2(), user_id, material, now, Version::fresh());
    (record.access_key, record.project_id, record.terms) = (Some(access_key), project_id, terms);
    let record = Arc::new(record);
    match retry(|| backend.insert(&record, Quota::Unlimited)).await {
        // A retried insert also fails if the first one succeeded.
        Err(BackendError::AlreadyExists) if is_stored(&backend, &record).await? => {}
        inserted => inserted?,
    }
    Ok(with_secret(&record, now))
}

async fn rotate(options: RotateKey, files: SecretFiles) -> Result<Report, Failure> {
    let RotateKey { key: KeyArgs { store, access_key }, overlap } = options;
    let backend = open(&store, files, OpenMode::Existing).await?.backend();
    let pair = generate_pair().map_err(|error| Failure::of(Exit::Problem, &error))?;
    for _ in 0..ATTEMPTS {
        let record = find(&backend, &access_key).await?;
        let now = SystemClock.now();
        let rotation = record.rotated(pair.clone(), overlap, None, now);
        let rotation = rotation.map_err(|error| {
            Failure::new(Exit::Problem, format!("{access_key} cannot be rotated: {error}"))
        })?;
        let version = record.version;
        let (credential, end, written) = match rotation {
            Rotation::InPlace(credential) => {
                let credential = Arc::new(credential);
                let written = retry(|| backend.update(&credential, version)).await;
                let end = Some(credential.updated_at);
                (credential, end, written)
            }
            Rotation::Overlapping { credential, retired } => {
                let (credential, retired) = (Arc::new(credential), Arc::new(retired));
                let write = || backend.rotate(&credential, Quota::Unlimited, &retired, version);
                let written = retry(write).await;
                (credential, retired.terms.expires_at(), written)
            }
        };
        let is_written = match written {
            // A retried write also fails if the first one succeeded.
            Ok(false) | Err(BackendError::AlreadyExists) => {
                is_stored(&backend, &credential).await?
            }
            written => written?,
        };
        if is_written {
            return Ok(with_secret(&credential, now)
                .with("old_access_key", access_key)
                .with("old_key_expires_at", end.map(show)));
        }
    }
    Err(contended(&access_key))
}

async fn set_status(key: KeyArgs, status: Status, files: SecretFiles) -> Result<Report, Failure> {
    let KeyArgs { store, access_key } = key;
    let backend = open(&store, files, OpenMode::Existing).await?.backend();
    for _ in 0..ATTEMPTS {
        let record = find(&backend, &access_key).await?;
        let now = SystemClock.now();
        if record.status == status {
            return Ok(of_record(&record, now).with("changed", false));
        }
        let mut changed = (*record).clone().touched(now);
        changed.status = status;
        if status == Status::Active {
            changed.terms.set_enabled_at(now);
        }
        let changed = Arc::new(changed);
        if retry(|| backend.update(&changed, record.version)).await?
            || is_stored(&backend, &changed).await?
        {
            return Ok(of_record(&changed, now).with("changed", true));
        }
    }
    Err(contended(&access_key))
}

async fn delete(key: KeyArgs, files: SecretFiles) -> Result<Report, Failure> {
    let KeyArgs { store, access_key } = key;
    let backend = open(&store, files, OpenMode::Existing).await?.backend();
    let record = find(&backend, &access_key).await?;
    let (id, mut version) = (&record.id, record.version);
    for _ in 0..ATTEMPTS {
        let is_deleted = retry(|| backend.delete(id, version)).await?;
        // A retried delete also fails if the first one succeeded.
        let left = if is_deleted { None } else { retry(|| backend.get(id)).await? };
        match left {
            Some(left) if left.access_key == record.access_key => version = left.version,
            Some(_) => {
                let what = format!("{access_key} was replaced by another key meanwhile");
                return Err(Failure::new(Exit::Problem, what));
            }
            None => {
                return Ok(Report::default()
                    .with("access_key", access_key)
                    .with("id", id.as_str())
                    .with("deleted", true));
            }
        }
    }
    Err(contended(&access_key))
}

/// Finds a record by its access key.
async fn find(backend: &Backend, access_key: &str) -> Result<Arc<Credential>, Failure> {
    let key = AccessKey::from_stored(access_key);
    retry(|| backend.find_by_access_key(&key))
        .await?
        .ok_or_else(|| Failure::new(Exit::Problem, format!("access key not found: {access_key}")))
}

/// Whether a store has exactly this record.
async fn is_stored(backend: &Backend, record: &Arc<Credential>) -> Result<bool, BackendError> {
    let found = retry(|| backend.get(&record.id)).await?;
    Ok(found.is_some_and(|found| found == *record))
}

/// The report of a command that prints a secret.
fn with_secret(record: &Credential, now: SystemTime) -> Report {
    let secret = record.secret_key().map(SecretKey::expose);
    let report = Report::default()
        .with("access_key", record.access_key.as_ref().map(AccessKey::as_str))
        .with("secret_key", secret);
    let members = summary(record, None, now).into_iter();
    members
        .filter(|(name, _)| *name != "access_key")
        .fold(report, |report, (name, value)| report.with(name, value))
}

fn of_record(record: &Credential, now: SystemTime) -> Report {
    let members = summary(record, None, now).into_iter();
    members
        .filter(|(name, _)| ["access_key", "id", "status", "expired"].contains(name))
        .fold(Report::default(), |report, (name, value)| report.with(name, value))
}

fn usage(option: &str, error: &dyn std::error::Error) -> Failure {
    Failure::of(Exit::Usage, error).context(option)
}

fn contended(access_key: &str) -> Failure {
    let message = format!("another process changes the key {access_key}: run the command again");
    Failure::new(Exit::Unavailable, message)
}
