//! Tokens, users and projects from a TOML file, read again on SIGHUP.

mod file;

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::signal::unix::{SignalKind, signal};
use tower_credentials::{
    async_trait,
    auth::{AuthError, Presented, StaticTokens, TokenValidator},
    directory::{
        DelegatedAccess, Directory, DirectoryError, Membership, Project, StaticDirectory, User,
    },
    domain::{Caller, Delegation, ProjectId, UserId},
    secret_files::SecretFiles,
};

/// Who may call, and who exists. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Identities {
    path: Option<PathBuf>,
    files: SecretFiles,
    current: Arc<RwLock<Arc<Current>>>,
    /// How often the file was read again: the directory's revision.
    reloads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Current {
    tokens: StaticTokens,
    directory: StaticDirectory,
}

impl Identities {
    /// Reads a file; without one, the built-in development set, with which a server may
    /// listen on loopback only.
    pub fn load(
        path: Option<PathBuf>,
        files: SecretFiles,
        listen: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        if path.is_none() {
            if !listen.ip().is_loopback() {
                return Err(format!("refusing to listen on {listen} with the public development tokens: give --identities FILE").into());
            }
            tracing::warn!("using the built-in development tokens, which everybody knows");
        }
        let current = Arc::new(RwLock::new(Arc::new(file::read(path.as_deref(), files)?)));
        Ok(Self { path, files, current, reloads: Arc::default() })
    }

    /// Whether these are the built-in development set, which everybody knows.
    pub fn are_public(&self) -> bool {
        self.path.is_none()
    }

    /// Reads the file again on every SIGHUP; a broken one leaves the old in force.
    pub fn reload_on_hangup(&self) -> Result<(), Box<dyn Error>> {
        let (this, mut hangups) = (self.clone(), signal(SignalKind::hangup())?);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                match file::read(this.path.as_deref(), this.files) {
                    Ok(new) => {
                        this.replace(new);
                        tracing::info!("identities read again");
                    }
                    Err(error) => {
                        tracing::error!(%error, "identities not read, the old ones stay in force");
                    }
                }
            }
        });
        Ok(())
    }

    fn replace(&self, new: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        // After the answers: what was remembered of the old ones ends with the next request.
        self.reloads.fetch_add(1, Ordering::Release);
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl TokenValidator for Identities {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
        self.current().tokens.validate(presented).await
    }
}

#[async_trait]
impl Directory for Identities {
    fn is_open(&self) -> bool {
        false
    }

    fn revision(&self) -> Option<u64> {
        Some(self.reloads.load(Ordering::Acquire))
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, DirectoryError> {
        self.current().directory.user(id).await
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        self.current().directory.project(id).await
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.current().directory.membership(user_id, project_id).await
    }

    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.current().directory.delegation(user_id, delegation).await
    }
}
