//! The use cases: command in, outcome out. No HTTP, no wire format.

use std::{sync::Arc, time::Duration};

use crate::{
    backend::{CredentialBackend, ListQuery},
    clock::Clock,
    directory::{Directory, Project, User},
    domain::{Caller, Credential, Kind, ProjectId, Quota, UserId},
    error::{Error, ErrorKind},
    issuer::TokenIssuer,
    policy::{Action, Decision, Owners, Policy, Target},
    usage::UsageLog,
};

mod credentials;
mod ec2;
mod grants;
mod keys;
mod signatures;
mod usage;

pub(crate) use self::{
    credentials::{
        CreateCredential, CredentialCommand, Field, ListCredentials, Match, Matching,
        UpdateCredential,
    },
    ec2::{CreateEc2, Ec2Command, ListEc2},
    grants::{Grant, GrantCommand, ListGrants, Proof, listed_as},
    keys::{CreateKey, KeyCommand, ListKeys, UpdateKey},
    signatures::{SignatureCommand, Verified},
    usage::{LAST_USED, LastUsed},
};

/// The longest page, and the length of a page when the client does not say.
const MAX_PAGE: usize = ListQuery::MAX_LIMIT;

/// How many pages of the store one list looks through at the most: most records
/// that are passed over belong to the same user, who would wait for it.
const MAX_READS: usize = 64;

/// How often a lost race is run again before the caller is told of it.
const RACES: usize = 8;

/// Everything the use cases need; no HTTP.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) backend: Arc<dyn CredentialBackend>,
    /// The directory, and its answers about owners of keys. Without a directory, any user
    /// and project exists and everybody belongs everywhere.
    pub(crate) owners: Owners,
    /// Without one, no tokens are issued.
    pub(crate) issuer: Option<Arc<dyn TokenIssuer>>,
    /// Without one, nobody is told when a key was last used.
    pub(crate) usage: Option<Arc<dyn UsageLog>>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quota: Quota,
    /// Whether an unknown access key is answered like a wrong signature.
    pub(crate) hide_unknown_keys: bool,
    /// How old a signed request may be, and how far ahead of our clock.
    pub(crate) signature_ttl: Duration,
}

/// A request in the words of the domain.
#[derive(Debug)]
pub(crate) enum Command {
    /// About a v3 credential, addressed by its id.
    Credential(CredentialCommand),
    /// About a user's key pair through OS-EC2, addressed by its access key.
    Ec2(Ec2Command),
    /// About a v2 grant, addressed by user and slot.
    Grant(GrantCommand),
    /// About a key pair, addressed by its access key.
    Key(KeyCommand),
    /// About a signature that somebody else made.
    Signature(SignatureCommand),
}

/// What came of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Created(View),
    Deleted,
    Listed(Listing),
    Shown(View),
    Updated(View),
    Verified(Box<Verified>),
}

/// A credential as this caller may see it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) credential: Arc<Credential>,
    pub(crate) secret_visible: bool,
    pub(crate) last_used: LastUsed,
}

/// A page of views.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) views: Vec<View>,
    /// Marker of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl Listing {
    fn empty() -> Self {
        Self { views: Vec::new(), next: None }
    }
}

impl Authority {
    /// Carries out a command on behalf of a caller.
    pub(crate) async fn run(&self, caller: &Caller, command: Command) -> Result<Outcome, Error> {
        match command {
            Command::Credential(command) => {
                Ok(self.with_last_use(self.run_credential(caller, command).await?).await)
            }
            Command::Ec2(command) => self.run_ec2(caller, command).await,
            Command::Grant(command) => self.run_grant(caller, command).await,
            Command::Key(command) => {
                Ok(self.with_last_use(self.run_key(caller, command).await?).await)
            }
            Command::Signature(command) => self.run_signature(caller, command).await,
        }
    }

    /// The credential with its secret, if the caller may see that.
    fn view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.may_see_secret(caller, &credential);
        View { credential, secret_visible, last_used: self.untold() }
    }

    /// The same for v3 and OS-EC2.
    fn credential_view(&self, caller: &Caller, credential: Arc<Credential>) -> View {
        let secret_visible = self.allows(caller, Action::ShowCredentialSecret, &credential);
        View { credential, secret_visible, last_used: self.untold() }
    }

    /// A new credential, with its secret: nobody else has it yet.
    fn new_view(&self, credential: Arc<Credential>) -> View {
        View { credential, secret_visible: true, last_used: self.untold() }
    }

    fn may_see_secret(&self, caller: &Caller, credential: &Credential) -> bool {
        self.allows(caller, Action::ShowSecret, credential)
    }

    fn allows(&self, caller: &Caller, action: Action, credential: &Credential) -> bool {
        self.policy.decide(caller, action, Target::record(credential)) == Decision::Allow
    }

    /// What is asked for before there is a record.
    fn target<'a>(
        &self,
        user_id: &'a UserId,
        project_id: Option<&'a ProjectId>,
        kind: Option<&'a Kind>,
    ) -> Target<'a> {
        let (user_id, directory) = (Some(user_id), self.directory().is_some());
        Target { user_id, project_id, kind, root_key: false, directory }
    }

    /// The policy's decision as a result.
    fn permit(&self, caller: &Caller, action: Action, target: Target<'_>) -> Result<(), Error> {
        match self.policy.decide(caller, action, target) {
            Decision::Allow => Ok(()),
            Decision::Forbid => Err(Error::forbidden()),
            Decision::Hide => Err(Error::no_such_credential()),
        }
    }

    // The pointers implement the traits too; calling through them would box every
    // future twice.

    fn backend(&self) -> &dyn CredentialBackend {
        &*self.backend
    }

    fn directory(&self) -> Option<&dyn Directory> {
        self.owners.directory()
    }

    /// The user, who must exist; `None` if there is no directory to tell.
    async fn require_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let user = directory.user(id).await?;
        user.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such user."))
    }

    /// The project, which must exist; `None` if there is no directory to tell.
    async fn require_project(&self, id: &ProjectId) -> Result<Option<Project>, Error> {
        let Some(directory) = self.directory() else { return Ok(None) };
        let project = directory.project(id).await?;
        project.map(Some).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such project."))
    }

    /// The user, who must exist and may get something new. What a disabled user
    /// has can still be seen and revoked.
    async fn require_enabled_user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let user = self.require_user(id).await?;
        if user.as_ref().is_some_and(|user| !user.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The user is disabled."));
        }
        Ok(user)
    }

    /// The same for a project.
    async fn require_enabled_project(&self, id: &ProjectId) -> Result<(), Error> {
        let project = self.require_project(id).await?;
        if project.is_some_and(|project| !project.enabled) {
            return Err(Error::new(ErrorKind::Forbidden, "The project is disabled."));
        }
        Ok(())
    }

    /// The user's place in the project, where this kind of creation requires one.
    async fn require_place(
        &self,
        action: Action,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<(), Error> {
        if self.policy.requires_place(action) && !self.has_place(user, project).await? {
            return Err(no_place());
        }
        Ok(())
    }

    /// Whether the user has a place in the project; without a directory everybody has.
    async fn has_place(&self, user: &UserId, project: &ProjectId) -> Result<bool, Error> {
        let Some(directory) = self.directory() else { return Ok(true) };
        Ok(directory.membership(user, project).await?.is_some())
    }
}

/// Says in the log who changed what; the one line per change. Clients choose ids and
/// access keys: `Debug` quotes them and escapes what could forge another line.
fn log_change(what: &'static str, caller: &Caller, credential: &Credential) {
    tracing::info!(
        target: "tower_credentials::audit",
        credential_id = ?credential.id.as_str(),
        access_key = credential.access_key.as_ref().map(|key| tracing::field::debug(key.as_str())),
        user_id = ?credential.user_id.as_str(),
        project_id = credential.project_id.as_ref().map(|id| tracing::field::debug(id.as_str())),
        status = credential.status.as_str(),
        caller = ?caller.user_id.as_str(),
        "credential {what}"
    );
}

/// The user has no place in the project.
fn no_place() -> Error {
    Error::new(ErrorKind::NotInProject, "The user has no access to the project.")
}

/// A record kept changing under our hands.
fn lost_race() -> Error {
    Error::new(ErrorKind::Conflict, "The credential is being changed by somebody else.")
}
