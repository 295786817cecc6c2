//! [`AuditEvent`] and its parts.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc, time::SystemTime};

use http::Extensions;
use rand::RngExt;

use crate::{
    domain::{
        AccessKey, Caller, Credential, CredentialId, Kind, ProjectId, Status, UserId, Version,
    },
    origin::{ClientAddress, RequestId},
};

/// Who did what with which record, and how it ended. It contains no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The id of the event. An intent and its outcome have the same.
    pub id: AuditId,
    /// When the event was created, by the clock of the layer.
    pub time: SystemTime,
    /// Who did it.
    pub actor: Arc<Actor>,
    /// What was done.
    pub action: AuditAction,
    /// On which record.
    pub target: AuditTarget,
    /// How it ended. The outcome of an intent is [`AuditOutcome::Unknown`].
    pub outcome: AuditOutcome,
    /// Why it was refused, or failed.
    pub reason: Option<AuditReason>,
    /// The record before the change. `None` for a new record.
    pub before: Option<RecordState>,
    /// The record after the change. `None` for a deleted record.
    pub after: Option<RecordState>,
    /// The number of credentials of other users in a list, or of the records that a purge deleted.
    pub count: Option<u64>,
    /// The session that was issued.
    pub session: Option<Box<IssuedSession>>,
}

/// The id of an event: 128 random bits, displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditId(u128);

/// Who caused an event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Actor {
    /// The caller. For a key, its scope is the project of the key.
    pub caller: Arc<Caller>,
    /// The access key that signed the request. `None` for a caller with a token. If the caller is
    /// a session, the access key of its parent.
    pub access_key: Option<AccessKey>,
    /// The access key of the caller's session.
    pub session: Option<AccessKey>,
    /// The client's address, if the server reports one.
    pub source: Option<IpAddr>,
    /// The id of the request, if the server sets one.
    pub request_id: Option<RequestId>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditAction {
    /// A record was created.
    Create,
    /// A record was deleted.
    Delete,
    /// Credentials of other users were listed.
    List,
    /// The records of a deleted user or project were deleted.
    Purge,
    /// A key pair was replaced, or got an end because another one replaces it.
    Rotate,
    /// A session was issued.
    Session,
    /// The credential of another user was shown.
    Show,
    /// A record was changed.
    Update,
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It failed: a part of the system is unavailable. Nothing was changed, unless another event of
    /// the same request says so.
    Failed,
    /// It was refused, and nothing was changed.
    Refused,
    /// The store did not report the result of the write.
    Unknown,
    /// An intent was not carried out: another writer was faster, or the store refused the write.
    /// Another attempt or a refusal follows.
    Withdrawn,
}

/// Why an action was refused, or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReason {
    /// A word for programs, such as `conflict`.
    pub kind: &'static str,
    /// The message that the client got.
    pub message: Cow<'static, str>,
}

/// The record that an action concerns, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditTarget {
    /// The id of the record.
    pub id: Option<CredentialId>,
    /// The access key of the record.
    pub access_key: Option<AccessKey>,
    /// The owner.
    pub user_id: Option<UserId>,
    /// The project.
    pub project_id: Option<ProjectId>,
    /// The type.
    pub kind: Option<Kind>,
}

/// What a change may change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordState {
    /// The version.
    pub version: Version,
    /// Whether the key is active.
    pub status: Status,
    /// When the key expires.
    pub expires_at: Option<SystemTime>,
    /// The boundary, a policy document as JSON.
    pub boundary: Option<String>,
}

/// A session that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuedSession {
    /// The access key of the session.
    pub access_key: AccessKey,
    /// The holder: `user`, `role/NAME` or `federated-user/NAME`.
    pub holder: String,
    /// The ARN of the role that the client named.
    pub role: Option<String>,
    /// The source identity that the client named.
    pub source_identity: Option<String>,
    /// How long it is valid, in seconds.
    pub seconds: u64,
}

/// What the server knows of the request that causes an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    source: Option<IpAddr>,
    request_id: Option<RequestId>,
}

impl AuditEvent {
    /// Creates an event whose outcome is not known yet, with a new id. For an app that changes
    /// records without the layer: give the event to [`AuditSink::record`](super::AuditSink::record)
    /// after the change, and to `intent` before it if a durable intent must precede it.
    #[must_use]
    pub fn new(
        time: SystemTime,
        actor: &Arc<Actor>,
        action: AuditAction,
        target: AuditTarget,
    ) -> Self {
        Self {
            id: AuditId(rand::rng().random()),
            time,
            actor: Arc::clone(actor),
            action,
            target,
            outcome: AuditOutcome::Unknown,
            reason: None,
            before: None,
            after: None,
            count: None,
            session: None,
        }
    }

    /// Creates the event of a change of a record.
    pub(crate) fn change(
        time: SystemTime,
        actor: &Arc<Actor>,
        action: AuditAction,
        before: Option<&Credential>,
        after: Option<&Credential>,
    ) -> Self {
        let record = after.or(before);
        let target = record.map(AuditTarget::of).unwrap_or_default();
        let mut event = Self::new(time, actor, action, target);
        event.before = before.map(RecordState::of);
        event.after = after.map(RecordState::of);
        event
    }

    /// Sets the outcome.
    #[must_use]
    pub fn ended(mut self, outcome: AuditOutcome) -> Self {
        self.outcome = outcome;
        self
    }
}

impl AuditId {
    /// Parses 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Actor {
    /// The caller of a request with these extensions: they may have the [`ClientAddress`] and the
    /// [`RequestId`].
    #[must_use]
    pub fn of(caller: Arc<Caller>, extensions: &Extensions) -> Self {
        Self::new(caller, &RequestFacts::of(extensions))
    }

    pub(crate) fn new(caller: Arc<Caller>, facts: &RequestFacts) -> Self {
        Self {
            caller,
            access_key: None,
            session: None,
            source: facts.source,
            request_id: facts.request_id.clone(),
        }
    }
}

impl AuditAction {
    /// Returns the action as a word, such as `create`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Purge => "purge",
            Self::Rotate => "rotate",
            Self::Session => "session",
            Self::Show => "show",
            Self::Update => "update",
        }
    }
}

impl AuditOutcome {
    /// Returns the outcome as a word, such as `done`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl AuditTarget {
    pub(crate) fn of(record: &Credential) -> Self {
        Self {
            id: Some(record.id.clone()),
            access_key: record.access_key.clone(),
            user_id: Some(record.user_id.clone()),
            project_id: record.project_id.clone(),
            kind: Some(record.kind.clone()),
        }
    }
}

impl AuditTarget {
    /// Cuts the names that a client chose, which no record need have.
    pub(crate) fn cut(mut self) -> Self {
        self.id = self.id.map(|id| CredentialId::from_stored(cut(id.as_str())));
        self.access_key = self.access_key.map(|key| AccessKey::from_stored(cut(key.as_str())));
        self
    }
}

/// The start of a text, at most 256 bytes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(256)]
}

impl RecordState {
    fn of(record: &Credential) -> Self {
        Self {
            version: record.version,
            status: record.status,
            expires_at: record.terms.expires_at(),
            boundary: record.terms.boundary().map(str::to_owned),
        }
    }
}

impl RequestFacts {
    /// Reads the extensions of a request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        Self {
            source: extensions.get::<ClientAddress>().map(|client| client.0),
            request_id: extensions.get::<RequestId>().cloned(),
        }
    }
}
