//! Sessions: mints temporary credentials for the key that signed a request.

use std::time::Duration;

use super::{
    checks::Authority,
    signers::{Signer, SignerError, SignerErrorKind},
};
use crate::{
    audit::{AuditAction, AuditEvent, AuditTarget, IssuedSession},
    aws::Roles,
    domain::UserId,
    error::{Error, ErrorKind},
    session::{Holder, Session, SessionCredentials, SessionError},
};

/// The shortest session that a client may ask for.
const MIN_DURATION: u64 = 900;

/// The longest and the default duration of sessions of a user and of federated users, in seconds.
const MAX_USER_DURATION: u64 = 129_600;
const USER_DURATION: u64 = 43_200;

/// The longest and the default duration of a role session, in seconds. A role may set a shorter
/// maximum.
const MAX_ROLE_DURATION: u64 = 43_200;
const ROLE_DURATION: u64 = 3_600;

/// The policy of a federated user to whom no policy gives anything.
const NOTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// The longest name of a session, into which a user's id is fitted.
const MAX_NAME: usize = 64;

pub(crate) enum SessionCommand {
    AssumeRole(AssumeRole),
    GetCallerIdentity,
    GetFederationToken { name: String, policy: Option<String>, duration: Option<u64> },
    GetSessionToken { duration: Option<u64> },
}

/// A role session. A missing role is the signer's own user.
pub(crate) struct AssumeRole {
    pub(crate) role: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) duration: Option<u64>,
    pub(crate) source_identity: Option<String>,
}

// They hold policies.
opaque_debug!(AssumeRole);
opaque_debug!(SessionCommand);

/// The result of a command.
#[derive(Debug)]
pub(crate) enum SessionOutcome {
    Identity { user_id: UserId, holder: Holder },
    Issued { user_id: UserId, holder: Holder, credentials: Box<SessionCredentials> },
}

impl Authority {
    /// Carries out a command on behalf of the key that signed it. Writes nothing to the store.
    pub(crate) async fn run_session(
        &self,
        signer: &Signer,
        roles: &Roles,
        command: SessionCommand,
    ) -> Result<SessionOutcome, SignerError> {
        let issues = !matches!(command, SessionCommand::GetCallerIdentity);
        let result = self.session(signer, roles, command).await;
        if let (true, Err(error)) = (issues, &result) {
            let subject = (AuditAction::Session, AuditTarget::of(&signer.credential));
            self.record_signer_refusal(signer, subject, error);
        }
        result
    }

    async fn session(
        &self,
        signer: &Signer,
        roles: &Roles,
        command: SessionCommand,
    ) -> Result<SessionOutcome, SignerError> {
        let user_id = signer.credential.user_id.clone();
        let (mut role, mut source_identity) = (None, None);
        let (holder, policies, duration) = match command {
            SessionCommand::GetCallerIdentity => {
                return Ok(SessionOutcome::Identity { user_id, holder: signer.holder().clone() });
            }
            SessionCommand::AssumeRole(command) => {
                may_mint(signer, "AssumeRole")?;
                let (policy, longest) = role_of(signer, roles, &command)?;
                let duration = duration_of(command.duration, ROLE_DURATION.min(longest), longest)?;
                (role, source_identity) = (command.role, command.source_identity);
                let name = command.name.unwrap_or_else(|| name_of(&user_id));
                let policies = [policy, command.policy];
                (Holder::Role(name), policies, duration)
            }
            SessionCommand::GetFederationToken { name, policy, duration } => {
                may_mint(signer, "GetFederationToken")?;
                let duration = duration_of(duration, USER_DURATION, MAX_USER_DURATION)?;
                let policy = policy.unwrap_or_else(|| NOTHING.to_owned());
                (Holder::Federated(name), [Some(policy), None], duration)
            }
            SessionCommand::GetSessionToken { duration } => {
                may_mint(signer, "GetSessionToken")?;
                let duration = duration_of(duration, USER_DURATION, MAX_USER_DURATION)?;
                (Holder::User, [None, None], duration)
            }
        };
        self.count_mint(&user_id)?;
        let credentials = self.mint(signer, &holder, &policies, duration)?;
        let target = AuditTarget::of(&signer.credential);
        let actor = signer.caller.actor();
        let mut event = AuditEvent::new(self.clock.now(), &actor, AuditAction::Session, target);
        event.session = Some(Box::new(IssuedSession {
            access_key: credentials.access_key.clone(),
            holder: text_of(&holder),
            role,
            source_identity,
            seconds: duration,
        }));
        self.announce(event).await?;
        Ok(SessionOutcome::Issued { user_id, holder, credentials: Box::new(credentials) })
    }

    fn mint(
        &self,
        signer: &Signer,
        holder: &Holder,
        policies: &[Option<String>],
        duration: u64,
    ) -> Result<SessionCredentials, SignerError> {
        let parent = &signer.credential;
        // Another server's clock may be ahead of this one.
        let enabled_at = parent.terms.enabled_at();
        let now = self.clock.now();
        let now = enabled_at
            .filter(|at| now.checked_add(self.max_skew) >= Some(*at))
            .map_or(now, |at| at.max(now));
        let (Some(access_key), Some(secret)) = (&parent.access_key, parent.secret_key()) else {
            return Err(SignerError::denied("The key has no secret."));
        };
        let duration = Duration::from_secs(duration);
        let session = Session::new(access_key, holder.clone(), now, duration).map_err(refused)?;
        if parent.terms.expires_at().is_some_and(|end| session.expires_at() > end) {
            let message = "DurationSeconds exceeds the life of the access key that signed the \
                           request.";
            return Err(SignerError::new(SignerErrorKind::InvalidParameter, message));
        }
        let session = policies
            .iter()
            .flatten()
            .try_fold(session, |session, policy| session.with_policy(policy).map_err(refused))?;
        session.mint(secret).map_err(refused)
    }
}

/// The policy of the role that a signer assumes, and its longest duration.
fn role_of(
    signer: &Signer,
    roles: &Roles,
    command: &AssumeRole,
) -> Result<(Option<String>, u64), SignerError> {
    let Some(arn) = &command.role else { return Ok((None, MAX_ROLE_DURATION)) };
    match roles.known.find(arn) {
        Some(role) => {
            let credential = &signer.credential;
            let is_admitted = role.admits(&credential.user_id, credential.project_id.as_ref());
            if !is_admitted || !role.is_external_id(command.external_id.as_deref()) {
                return Err(not_assumable());
            }
            Ok((role.policy().map(str::to_owned), role.max_duration().as_secs()))
        }
        None if roles.any_is_self => Ok((None, MAX_ROLE_DURATION)),
        None => Err(not_assumable()),
    }
}

/// Whom a session stands for, in audit events.
fn text_of(holder: &Holder) -> String {
    match holder {
        Holder::Federated(name) => format!("federated-user/{name}"),
        Holder::Role(name) => format!("role/{name}"),
        Holder::User => "user".to_owned(),
    }
}

/// Refuses signers that may not have sessions: sessions themselves, and keys that act for a user
/// by a delegation, which a session would not show.
fn may_mint(signer: &Signer, action: &str) -> Result<(), SignerError> {
    if signer.session.is_some() {
        return Err(SignerError::denied(format!("Cannot call {action} with session credentials")));
    }
    if signer.credential.delegation.is_some() {
        return Err(SignerError::denied(format!("Cannot call {action} with a delegated key")));
    }
    Ok(())
}

fn not_assumable() -> SignerError {
    SignerError::denied("Not authorized to perform: sts:AssumeRole on this role")
}

fn duration_of(asked: Option<u64>, default: u64, longest: u64) -> Result<u64, SignerError> {
    let Some(seconds) = asked else { return Ok(default) };
    let constraint = if seconds < MIN_DURATION {
        format!("Member must have value greater than or equal to {MIN_DURATION}")
    } else if seconds > longest {
        format!("Member must have value less than or equal to {longest}")
    } else {
        return Ok(seconds);
    };
    let message = format!(
        "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy \
         constraint: {constraint}"
    );
    Err(SignerError::new(SignerErrorKind::InvalidParameter, message))
}

/// The name of a session for which the client gave none: the id of its user, with `-` for the
/// characters that names do not have.
fn name_of(user_id: &UserId) -> String {
    let fitted = |c: char| {
        if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' }
    };
    let name: String = user_id.as_str().chars().map(fitted).take(MAX_NAME).collect();
    if name.len() < 2 { format!("user-{name}") } else { name }
}

fn refused(error: SessionError) -> SignerError {
    let text = error.to_string();
    let (kind, message) = match &error {
        SessionError::Policy(cause) => (SignerErrorKind::MalformedPolicy, cause.to_string()),
        SessionError::PolicySize => (SignerErrorKind::PolicyTooLarge, text),
        SessionError::Parent | SessionError::ShortSecret => (SignerErrorKind::AccessDenied, text),
        SessionError::Random(_) => {
            return Error::new(ErrorKind::Unavailable, text).with_source(error).into();
        }
        SessionError::Life | SessionError::Name => (SignerErrorKind::InvalidParameter, text),
    };
    SignerError::new(kind, message)
}
