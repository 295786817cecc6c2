//! Tokens, users and projects from a TOML file, read again on SIGHUP.

use std::{
    collections::HashMap,
    error::Error,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tower_credentials::{
    async_trait,
    auth::{AuthError, Presented, StaticTokens, TokenValidator},
    directory::{
        DelegatedAccess, Directory, DirectoryError, Membership, Project, StaticDirectory, User,
    },
    domain::{Caller, Delegation, ProjectId, Scope, UserId},
};

/// The file of identities; see `development.toml` for an example of each table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    projects: Vec<ProjectTable>,
    #[serde(default)]
    users: Vec<UserTable>,
    #[serde(default)]
    tokens: Vec<TokenTable>,
    #[serde(default)]
    assignments: Vec<AssignmentTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTable {
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    id: String,
    name: String,
    /// The first is the default project.
    #[serde(default)]
    projects: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    token: Option<String>,
    token_sha256: Option<String>,
    user_id: String,
    project_id: String,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentTable {
    user_id: String,
    project_id: String,
    roles: Vec<String>,
}

/// Who may call, and who exists. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub(crate) struct Identities {
    path: Option<PathBuf>,
    current: Arc<RwLock<Arc<Current>>>,
}

#[derive(Debug)]
struct Current {
    tokens: StaticTokens,
    directory: StaticDirectory,
}

impl Identities {
    /// Reads a file; without one, the built-in development set.
    pub(crate) fn load(path: Option<PathBuf>) -> Result<Self, Box<dyn Error>> {
        let current = Arc::new(RwLock::new(Arc::new(read(path.as_ref())?)));
        Ok(Self { path, current })
    }

    /// Reads the file again on every SIGHUP; a broken one leaves the old in force.
    pub(crate) fn reload_on_hangup(&self) -> Result<(), Box<dyn Error>> {
        let (this, mut hangups) = (self.clone(), signal(SignalKind::hangup())?);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                match read(this.path.as_ref()) {
                    Ok(new) => {
                        let mut current =
                            this.current.write().unwrap_or_else(PoisonError::into_inner);
                        *current = Arc::new(new);
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

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(path: Option<&PathBuf>) -> Result<Current, Box<dyn Error>> {
    let file: File = match path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            // The parser's own text would repeat the line, and a token in it.
            toml::from_str(&text).map_err(|error: toml::de::Error| {
                let at = error.span().map_or(0, |span| span.start);
                let line = text[..at].lines().count().max(1);
                // Of a member of the wrong type it tells the value after a colon.
                let what = error.message().split(':').next().unwrap_or_default();
                format!("{}, line {line}: {what}", path.display())
            })?
        }
        None => toml::from_str(include_str!("development.toml"))?,
    };
    let mut directory = StaticDirectory::new();
    for ProjectTable { id, name } in file.projects {
        directory = directory.with_project(Project::new(ProjectId::new(id)?, name));
    }
    let mut names = HashMap::new();
    for UserTable { id, name, projects } in file.users {
        names.insert(id.clone(), name.clone());
        let mut user = User::new(UserId::new(id)?, name);
        for project in projects {
            let project = ProjectId::new(project)?;
            user.default_project_id.get_or_insert_with(|| project.clone());
            directory = directory.with_member(user.id.clone(), project, [""; 0]);
        }
        directory = directory.with_user(user);
    }
    for AssignmentTable { user_id, project_id, roles } in file.assignments {
        let (user_id, project_id) = (UserId::new(user_id)?, ProjectId::new(project_id)?);
        directory = directory.with_member(user_id, project_id, roles);
    }
    let mut tokens = StaticTokens::new();
    for TokenTable { token, token_sha256, user_id, project_id, roles } in file.tokens {
        let name = names.get(&user_id).ok_or("a token's user_id names no user")?.clone();
        let scope = Scope::Project(ProjectId::new(project_id)?);
        let caller = Caller::new(UserId::new(user_id)?, scope).with_roles(roles);
        tokens = match (token, token_sha256) {
            (Some(token), None) if !token.is_empty() => tokens.with_token(&token, name, caller),
            (None, Some(digest)) => tokens.with_token_sha256(&digest, name, caller)?,
            _ => return Err("each token needs either token or token_sha256".into()),
        };
    }
    Ok(Current { tokens, directory })
}

#[async_trait]
impl TokenValidator for Identities {
    async fn validate(&self, presented: &Presented) -> Result<Arc<Caller>, AuthError> {
        self.current().tokens.validate(presented).await
    }
}

#[async_trait]
impl Directory for Identities {
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
        delegation: &Delegation,
    ) -> Result<Option<DelegatedAccess>, DirectoryError> {
        self.current().directory.delegation(delegation).await
    }
}
