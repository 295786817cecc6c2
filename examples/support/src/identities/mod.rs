//! Tokens, users, projects and roles from a TOML file, reloaded on SIGHUP.

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
    aws::{Role, RoleSource, StaticRoles},
    directory::{
        DelegatedAccess, Directory, DirectoryError, Membership, Project, StaticDirectory, User,
    },
    domain::{Caller, Delegation, ProjectId, UserId},
    secret_files::SecretFiles,
};

/// A token validator and directory. Clones share the loaded file.
#[derive(Clone, Debug)]
pub struct Identities {
    path: Option<PathBuf>,
    files: SecretFiles,
    loaded: Arc<RwLock<Arc<Loaded>>>,
    /// How often the file was reloaded: the directory's revision.
    reloads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Loaded {
    tokens: StaticTokens,
    directory: StaticDirectory,
    roles: StaticRoles,
}

impl Identities {
    /// Reads a file, or the built-in development set. With the latter, `listen` must be a loopback
    /// address.
    pub fn load(
        path: Option<PathBuf>,
        files: SecretFiles,
        listen: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        if path.is_none() {
            if !listen.ip().is_loopback() {
                let message = format!(
                    "cannot listen on {listen} with the public development tokens: use \
                     --identities FILE, or a loopback address"
                );
                return Err(message.into());
            }
            tracing::warn!("using the built-in development tokens, which are public");
        }
        let loaded = Arc::new(RwLock::new(Arc::new(file::read(path.as_deref(), files)?)));
        Ok(Self { path, files, loaded, reloads: Arc::default() })
    }

    /// Whether this is the built-in development set, which is public.
    pub fn are_public(&self) -> bool {
        self.path.is_none()
    }

    /// Reloads the file on every SIGHUP. If the file is not valid, the old identities stay in use.
    pub fn reload_on_hangup(&self) -> Result<(), Box<dyn Error>> {
        let (this, mut hangups) = (self.clone(), signal(SignalKind::hangup())?);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                match file::read(this.path.as_deref(), this.files) {
                    Ok(new) => {
                        this.replace(new);
                        tracing::info!("reloaded identities");
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot reload identities, keeping the old ones");
                    }
                }
            }
        });
        Ok(())
    }

    fn replace(&self, new: Loaded) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        // After the replacement: a cache that sees the new revision must not see old data.
        self.reloads.fetch_add(1, Ordering::Release);
    }

    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RoleSource for Identities {
    fn find(&self, arn: &str) -> Option<Arc<Role>> {
        self.loaded().roles.find(arn)
    }
}

#[async_trait]
impl TokenValidator for Identities {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
        self.loaded().tokens.validate(presented).await
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
        self.loaded().directory.user(id).await
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, DirectoryError> {
        self.loaded().directory.project(id).await
    }

    async fn membership(
        &self,
        user_id: &UserId,
        project_id: &ProjectId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.loaded().directory.membership(user_id, project_id).await
    }

    async fn delegation(
        &self,
        user_id: &UserId,
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.loaded().directory.delegation(user_id, delegation).await
    }
}
