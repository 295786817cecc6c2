//! The options of a server for its audit log.

use std::{future::ready, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use tokio::{task::spawn_blocking, time::timeout};
use tower_credentials::{
    CredentialLayer, CredentialLayerBuilder,
    audit::{
        AuditSink, TracingSink,
        file::{AuditFile, AuditKey},
    },
    backend::CredentialBackend,
    secret_files::SecretFiles,
};

use crate::health::{Health, Status};

/// How long the end of a server waits for the disk of the audit log.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a server records who changed what.
#[derive(Clone, Debug, Args)]
pub struct AuditOptions {
    /// Also append audit events to this file, as lines of JSON [default: only to the log].
    ///
    /// Rotate it by renaming it. `credentials audit verify` checks it.
    #[arg(long = "audit-file", value_name = "FILE", requires = "key")]
    file: Option<PathBuf>,
    /// The key of the codes in the audit file: a file with a line of at least 32 characters, or
    /// `env:NAME` for an environment variable.
    #[arg(long = "audit-key", value_name = "FILE", requires = "file")]
    key: Option<String>,
    /// Make each change only after its intent is durable in the audit file. While the file cannot
    /// be written, changes are refused with 503.
    #[arg(long = "audit-synced", requires = "file")]
    is_synced: bool,
}

/// The audit file of a server, if it has one.
#[derive(Clone, Debug)]
pub struct Audit(Option<AuditFile>);

impl AuditOptions {
    /// Opens the audit file, finds out which changes an earlier process made before it crashed,
    /// and adds the file to the checks of the server's health.
    ///
    /// # Errors
    ///
    /// The key or the file cannot be used, or the store cannot be read.
    pub async fn open<B: CredentialBackend>(
        &self,
        files: SecretFiles,
        store: &B,
        health: &Health,
    ) -> Result<Audit, String> {
        let (Some(path), Some(key)) = (&self.file, &self.key) else {
            return Ok(Audit(None));
        };
        let key = AuditKey::resolve(key, files).map_err(|error| with_cause(key, &error))?;
        let audit = AuditFile::builder(path, key).synced(self.is_synced);
        let audit = audit.open().map_err(|error| with_cause(&path.display(), &error))?;
        if audit.unresolved() > 0 {
            let resolved = audit.resolve(store).await;
            let resolved = resolved.map_err(|error| with_cause(&path.display(), &error))?;
            tracing::warn!(
                done = resolved.done,
                withdrawn = resolved.withdrawn,
                unknown = resolved.unknown,
                "resolved audited changes that had no outcome"
            );
        }
        let (checked, is_synced) = (audit.clone(), self.is_synced);
        health.add("audit", move || ready(status_of(&checked, is_synced)));
        Ok(Audit(Some(audit)))
    }
}

impl Audit {
    /// Sets the sink of a layer.
    pub fn apply(&self, layer: CredentialLayerBuilder) -> CredentialLayerBuilder {
        layer.audit(self.sink())
    }

    /// Returns what records events: the log, and the file if there is one.
    pub fn sink(&self) -> Arc<dyn AuditSink> {
        match &self.0 {
            Some(audit) => Arc::new((audit.clone(), TracingSink::new())),
            None => Arc::new(TracingSink::new()),
        }
    }

    /// Returns the file.
    pub fn file(&self) -> Option<&AuditFile> {
        self.0.as_ref()
    }

    /// Waits for the changes that are running, writes what waits, and closes the file.
    ///
    /// # Errors
    ///
    /// Events are lost: the file cannot be written, or the disk or a change takes too long.
    pub async fn close(self, credentials: &CredentialLayer) -> Result<(), String> {
        let settled = timeout(CLOSE_TIMEOUT, credentials.settled()).await;
        let Some(audit) = self.0 else { return Ok(()) };
        let closing = audit.clone();
        let closed = spawn_blocking(move || closing.close(CLOSE_TIMEOUT)).await.unwrap_or(false);
        if settled.is_ok() && closed {
            return Ok(());
        }
        let waiting = audit.stats().waiting;
        Err(format!("audit events are lost: {waiting} wait for the audit file"))
    }
}

/// Reads and S3 requests are served in any case, so that the server stays ready.
fn status_of(audit: &AuditFile, is_synced: bool) -> Status {
    match audit.health() {
        Ok(()) => Status::Ok,
        Err(reason) if is_synced => Status::Degraded(format!("changes are refused: {reason}")),
        Err(reason) => Status::Degraded(format!("events wait in memory: {reason}")),
    }
}

fn with_cause(place: &dyn std::fmt::Display, error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{place}: {error}: {cause}"),
        None => format!("{place}: {error}"),
    }
}
