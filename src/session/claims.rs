//! [`Session`]: what a session token claims.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE32_NOPAD;
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{SessionError, SessionRefusal};
use crate::{
    boundary::{Boundary, Principal},
    domain::{AccessKey, Credential, Life, RandomError, SESSION_KEY_PREFIX, SecretKey},
};

/// The longest life of a session: 36 hours, as with `GetSessionToken`.
const MAX_LIFE: Duration = Duration::from_hours(36);

/// The shortest secret of a parent, in characters. The code of a token can be tried without asking
/// a server.
const MIN_SECRET: usize = 32;

/// The largest policies together, in bytes of compact JSON.
const MAX_POLICIES: usize = 2_048;

/// The longest access key of a parent, in bytes.
const MAX_PARENT: usize = 128;

/// The characters after the prefix of a session's access key.
const ACCESS_KEY_REST: usize = 16;

/// A temporary credential: its parent, its times and what it may do at most.
///
/// `Debug` leaves out the policies.
#[derive(Clone, PartialEq)]
pub struct Session {
    parent: AccessKey,
    access_key: AccessKey,
    holder: Holder,
    issued_at: SystemTime,
    expires_at: SystemTime,
    policies: Vec<Map<String, Value>>,
}

/// Whom a session stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// A federated user with this name, as with `GetFederationToken`: 2 to 32 characters of
    /// `A-Za-z0-9_+=,.@-`.
    Federated(String),
    /// A role session with this name, as with `AssumeRole`: 2 to 64 characters of the same.
    Role(String),
    /// The parent's user, as with `GetSessionToken`.
    User,
}

impl Holder {
    /// Returns the session's principal, as conditions and ARNs see it.
    #[must_use]
    pub fn principal(&self) -> Principal<'_> {
        match self {
            Self::Federated(name) => Principal::Federated(name),
            Self::Role(name) => Principal::Role(name),
            Self::User => Principal::User,
        }
    }

    fn is_valid(&self) -> bool {
        let is_name = |name: &str, longest| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
            (2..=longest).contains(&name.len()) && name.bytes().all(allowed)
        };
        match self {
            Self::Federated(name) => is_name(name, 32),
            Self::Role(name) => is_name(name, 64),
            Self::User => true,
        }
    }
}

impl Session {
    /// Creates a session of the key `parent` from `issued_at`, cut to milliseconds, with a new
    /// access key and without policies.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if the name or the life is not valid, the parent's access key is longer
    /// than 128 bytes, or the operating system returns no random bytes.
    pub fn new(
        parent: &AccessKey,
        holder: Holder,
        issued_at: SystemTime,
        life: Duration,
    ) -> Result<Self, SessionError> {
        if !holder.is_valid() {
            return Err(SessionError::Name);
        }
        if parent.as_str().len() > MAX_PARENT {
            return Err(SessionError::Parent);
        }
        let issued_at = from_millis(to_millis(issued_at)).ok_or(SessionError::Life)?;
        let expires_at = issued_at.checked_add(life).filter(|_| is_life(life));
        let expires_at = expires_at.ok_or(SessionError::Life)?;
        let mut random = [0; ACCESS_KEY_REST / 8 * 5];
        let no_random = |error| SessionError::Random(RandomError::new(error));
        SysRng.try_fill_bytes(&mut random).map_err(no_random)?;
        let access_key = format!("{SESSION_KEY_PREFIX}{}", BASE32_NOPAD.encode(&random));
        Ok(Self {
            parent: parent.clone(),
            access_key: AccessKey::from_stored(access_key),
            holder,
            issued_at,
            expires_at,
            policies: Vec::new(),
        })
    }

    /// Limits the session to what this policy document allows too.
    ///
    /// # Errors
    ///
    /// [`SessionError::Policy`] if [`Boundary::parse_policy`] rejects the document,
    /// [`SessionError::PolicySize`] if all policies together are too large.
    pub fn with_policy(mut self, document: &str) -> Result<Self, SessionError> {
        // Any user: what is not valid is not valid for all of them.
        let boundary = Boundary::parse_policy(document, "user").map_err(|error| {
            if error.is_size() { SessionError::PolicySize } else { SessionError::Policy(error) }
        })?;
        // A document is an object.
        self.policies.extend(boundary.document().as_object().cloned());
        if policies_size(&self.policies) > MAX_POLICIES {
            return Err(SessionError::PolicySize);
        }
        Ok(self)
    }

    /// Returns the access key of the key that the session is derived from.
    #[must_use]
    pub fn parent(&self) -> &AccessKey {
        &self.parent
    }

    /// Returns the session's own access key.
    #[must_use]
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// Returns whom the session stands for.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Returns when the session was issued; whole milliseconds.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Returns the end of the session: from this time on it may not be used.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Returns whether the session has policies of its own.
    #[must_use]
    pub fn has_policies(&self) -> bool {
        !self.policies.is_empty()
    }

    /// Returns the policies, compiled for the session's user.
    #[cfg(feature = "s3")]
    pub(crate) fn boundaries(
        &self,
        user_id: &str,
    ) -> impl Iterator<Item = Result<Boundary, SessionRefusal>> {
        self.policies.iter().map(move |policy| {
            let text = Value::Object(policy.clone()).to_string();
            Boundary::parse_policy(&text, user_id).map_err(|_| SessionRefusal::BreaksRule)
        })
    }

    /// Checks that the session may be used `now`, by the record of its parent. The parent itself
    /// must be usable; the caller has verified the token.
    ///
    /// # Errors
    ///
    /// [`SessionRefusal::Ended`] if the session has ended, or would end after its parent;
    /// [`SessionRefusal::BreaksRule`] if it breaks another rule.
    pub fn check(
        &self,
        parent: &Credential,
        now: SystemTime,
        max_skew: Duration,
    ) -> Result<(), SessionRefusal> {
        let is_too_early = now.checked_add(max_skew).is_some_and(|latest| self.issued_at > latest);
        let life = self.expires_at.duration_since(self.issued_at).unwrap_or_default();
        let is_strong = parent.secret_key().is_some_and(Self::is_long_enough);
        if is_too_early || !is_life(life) || !is_strong {
            return Err(SessionRefusal::BreaksRule);
        }
        // A rotation with overlap shortens the life of the parent. Its sessions end with it then,
        // not before.
        let end = match parent.terms.original_life() {
            Some(Life::For(life)) => parent.created_at.checked_add(life),
            Some(Life::Unlimited) => None,
            None => parent.terms.expires_at(),
        };
        let outlives = end.is_some_and(|end| self.expires_at > end);
        let is_of_before = parent
            .terms
            .enabled_at()
            .is_some_and(|enabled_at| to_millis(self.issued_at) < to_millis(enabled_at));
        if outlives || is_of_before || self.expires_at <= now {
            return Err(SessionRefusal::Ended);
        }
        Ok(())
    }

    /// Returns whether a key with this secret may have sessions.
    pub(crate) fn is_long_enough(parent: &SecretKey) -> bool {
        parent.expose().len() >= MIN_SECRET
    }

    /// Returns the claims as JSON.
    pub(super) fn encode(&self) -> String {
        let (role, federated) = match &self.holder {
            Holder::Federated(name) => (None, Some(name.clone())),
            Holder::Role(name) => (Some(name.clone()), None),
            Holder::User => (None, None),
        };
        let claims = Claims {
            access_key: self.access_key.as_str().into(),
            expires_at: to_millis(self.expires_at),
            federated,
            issued_at: to_millis(self.issued_at),
            parent: self.parent.as_str().into(),
            policies: self.policies.clone(),
            role,
        };
        serde_json::to_string(&claims).expect("strings and numbers always serialize")
    }

    /// Parses claims. `None` if they break the format.
    pub(super) fn decode(claims: &[u8]) -> Option<Self> {
        // An array of the values in order is not the format.
        if claims.first() != Some(&b'{') {
            return None;
        }
        let claims: Claims = serde_json::from_slice(claims).ok()?;
        let holder = match (claims.role, claims.federated) {
            (None, None) => Holder::User,
            (Some(name), None) => Holder::Role(name),
            (None, Some(name)) => Holder::Federated(name),
            (Some(_), Some(_)) => return None,
        };
        let is_valid = holder.is_valid()
            && is_session_key(&claims.access_key)
            && (1..=MAX_PARENT).contains(&claims.parent.len())
            && policies_size(&claims.policies) <= MAX_POLICIES;
        is_valid.then_some(())?;
        Some(Self {
            parent: AccessKey::from_stored(claims.parent),
            access_key: AccessKey::from_stored(claims.access_key),
            holder,
            issued_at: from_millis(claims.issued_at)?,
            expires_at: from_millis(claims.expires_at)?,
            policies: claims.policies,
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("access_key", &self.access_key)
            .field("parent", &self.parent)
            .field("holder", &self.holder)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The claims of a token. Their members are in the hands of clients: add, never rename.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    access_key: String,
    expires_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    federated: Option<String>,
    issued_at: u64,
    parent: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// Returns whether a session may last this long.
fn is_life(life: Duration) -> bool {
    life > Duration::ZERO && life <= MAX_LIFE
}

/// Returns whether this is the access key of a session.
fn is_session_key(access_key: &str) -> bool {
    access_key.strip_prefix(SESSION_KEY_PREFIX).is_some_and(|rest| {
        rest.len() == ACCESS_KEY_REST
            && rest.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
    })
}

fn policies_size(policies: &[Map<String, Value>]) -> usize {
    let size = |policy: &Map<String, Value>| Value::Object(policy.clone()).to_string().len();
    policies.iter().map(size).sum()
}

fn to_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_millis(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}
