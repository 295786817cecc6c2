//! Sessions: the keys that requests with a session token are signed with.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    hint,
    sync::Arc,
    time::{Duration, SystemTime},
};

use quick_cache::{Equivalent, Weighter, sync::Cache};

use super::{
    enforcement::Limit,
    refusal::Refusal,
    signing_keys::{Derived, LONGEST_REGION},
};
use crate::{
    domain::{Credential, CredentialId, SecretKey, Version},
    session::{Presented, Session, SessionRefusal},
    signature::{
        CredentialScope, SigningKey, decoy,
        request::{RequestError, S3ErrorCode},
    },
};

/// The memory of an entry beside its token, in bytes.
const ENTRY: usize = 1_024;

/// Caches what was derived for a session, by token, day and region.
///
/// An entry is cached only after it has verified a signature, so that only clients with a secret
/// fill the cache, and counts for one version of the parent's record.
pub(super) struct Sessions(Cache<CacheKey, Entry, Size>);

/// What was derived for a session.
#[derive(Clone)]
struct Entry {
    session: Arc<Session>,
    parent: CredentialId,
    version: Version,
    derived: Derived,
    /// The length of the boundary of the parent.
    boundary: usize,
}

/// The session that a request names by its token, which is not verified yet.
pub(super) struct ClaimedSession<'a> {
    token: Cow<'a, str>,
    session: Arc<Session>,
    /// The token's parts, unless the session is cached.
    presented: Option<Presented<'a>>,
    entry: Option<Entry>,
}

/// Why a request with a session token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotGenuine {
    /// The token is genuine, but claims what none may.
    Claims,
    /// The signature is wrong.
    Signature,
    /// The token was not made with the secret of its parent.
    Token,
}

impl Sessions {
    /// Creates a cache of this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let entries = usize::try_from(bytes).unwrap_or(usize::MAX) / (2 * ENTRY);
        Self(Cache::with_weighter(entries, bytes, Size))
    }

    /// Returns the session that a request with this access key names.
    ///
    /// # Errors
    ///
    /// `InvalidToken` if the token is malformed, or is that of another access key.
    pub(super) fn named<'a>(
        &self,
        token: Cow<'a, str>,
        access_key: &str,
        scope: &CredentialScope<'_>,
    ) -> Result<ClaimedSession<'a>, Refusal> {
        let entry = self.0.get(&CacheKeyRef { token: &token, scope });
        let (session, presented) = if let Some(entry) = &entry {
            if entry.session.access_key().as_str() != access_key {
                return Err(invalid());
            }
            (Arc::clone(&entry.session), None)
        } else {
            let presented = Presented::of(token.clone(), access_key).ok_or_else(invalid)?;
            (Arc::clone(presented.session()), Some(presented))
        };
        Ok(ClaimedSession { token, session, presented, entry })
    }

    /// Returns the signing key of the session, if it made the signature and the token is genuine.
    ///
    /// `parent` is the session's parent with its secret, if it may sign. Every failure costs the
    /// same, whether the parent exists or not.
    pub(super) fn signing_key(
        &self,
        named: &ClaimedSession<'_>,
        scope: &CredentialScope<'_>,
        parent: Option<(&Credential, &SecretKey)>,
        is_signed: impl Fn(&SigningKey) -> bool,
        derive: impl FnOnce(SigningKey, &Credential) -> Derived,
    ) -> Result<Derived, NotGenuine> {
        let parsed;
        let presented = if let Some(presented) = &named.presented {
            presented
        } else {
            let is_current = |entry: &&Entry| {
                parent.is_some_and(|(parent, _)| {
                    parent.version == entry.version && parent.id == entry.parent
                })
            };
            let current = named.entry.as_ref().filter(is_current);
            if let Some(entry) = current.filter(|entry| is_signed(&entry.derived.key)) {
                return Ok(entry.derived.clone());
            }
            // It parsed before.
            parsed = Presented::parse(&*named.token).ok_or(NotGenuine::Token)?;
            if current.is_some() {
                let (secret, _) = parsed.open(decoy());
                hint::black_box(SigningKey::derive(&secret, scope));
                return Err(NotGenuine::Signature);
            }
            &parsed
        };
        let (secret, is_genuine) = presented.open(parent.map_or(decoy(), |(_, secret)| secret));
        let key = SigningKey::derive(&secret, scope);
        let is_signed = is_signed(&key);
        match parent {
            Some((parent, _)) if is_genuine => {
                if !is_signed {
                    return Err(NotGenuine::Signature);
                }
                let mut derived = derive(key, parent);
                derived.limit =
                    Limit::of_session(parent, &named.session).map_err(|_| NotGenuine::Claims)?;
                self.insert(named, scope, parent, derived.clone());
                Ok(derived)
            }
            _ => Err(NotGenuine::Token),
        }
    }

    fn insert(
        &self,
        named: &ClaimedSession<'_>,
        scope: &CredentialScope<'_>,
        parent: &Credential,
        derived: Derived,
    ) {
        let Ok(day) = scope.date().as_bytes().try_into() else { return };
        if scope.region().len() > LONGEST_REGION {
            return;
        }
        let (token, region) = (named.token.as_ref().into(), scope.region().into());
        let session = Arc::clone(&named.session);
        let boundary = parent.terms.boundary().map_or(0, str::len);
        let (parent, version) = (parent.id.clone(), parent.version);
        let entry = Entry { session, parent, version, derived, boundary };
        self.0.insert(CacheKey { token, day, region }, entry);
    }
}

impl ClaimedSession<'_> {
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// Checks that a session with a valid signature may be used `now`.
pub(super) fn check(
    session: &Session,
    parent: &Credential,
    now: SystemTime,
    max_skew: Duration,
) -> Result<(), Refusal> {
    session.check(parent, now, max_skew).map_err(|refusal| match refusal {
        SessionRefusal::BreaksRule => invalid(),
        SessionRefusal::Ended => ended(),
    })
}

/// The refusal of a token that is not valid.
pub(super) fn invalid() -> Refusal {
    RequestError::session_token().into()
}

/// The refusal of a session that has ended.
pub(super) fn ended() -> Refusal {
    Refusal::new(S3ErrorCode::ExpiredToken, "The provided token has expired.")
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
struct CacheKey {
    token: Box<str>,
    day: [u8; 8],
    region: Box<str>,
}

/// A [`CacheKey`] that borrows, for lookups.
struct CacheKeyRef<'a> {
    token: &'a str,
    scope: &'a CredentialScope<'a>,
}

impl Equivalent<CacheKey> for CacheKeyRef<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        *self.scope.date().as_bytes() == key.day
            && *self.scope.region() == *key.region
            && *self.token == *key.token
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, &self.token, &self.day, &self.region);
    }
}

impl Hash for CacheKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, self.token, self.scope.date().as_bytes(), self.scope.region());
    }
}

/// The end of a token is a code: its last characters differ between any two sessions, and the
/// whole token is compared.
fn hash<H: Hasher>(state: &mut H, token: &str, day: &[u8], region: &str) {
    state.write(&token.as_bytes()[token.len().saturating_sub(HASHED)..]);
    state.write(day);
    state.write(region.as_bytes());
}

/// The characters of a token that are hashed.
const HASHED: usize = 32;

/// The size of an entry, in bytes.
#[derive(Clone)]
struct Size;

impl Weighter<CacheKey, Entry> for Size {
    fn weight(&self, key: &CacheKey, entry: &Entry) -> u64 {
        // The policies of a session are in its token, in its claims and compiled.
        let copies = if matches!(entry.derived.limit, Limit::None) { 1 } else { 4 };
        let texts = copies * (key.token.len() + entry.boundary);
        u64::try_from(ENTRY + texts).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{
        domain::{AccessKey, Kind, Material, UserId},
        session::Holder,
    };

    const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";

    fn parent() -> Credential {
        let access = AccessKey::new("181920").unwrap();
        let material = Material::KeyPair { secret: Some(SecretKey::from_stored(SECRET)) };
        let owner = UserId::new("alice").unwrap();
        let (id, version) = (CredentialId::of(&access), Version::fresh());
        let mut record = Credential::new(id, Kind::ec2(), owner, material, UNIX_EPOCH, version);
        record.access_key = Some(access);
        record
    }

    /// Uses a new session once.
    fn use_new(sessions: &Sessions, parent: &Credential, region: &str) -> (String, String) {
        let access_key = parent.access_key.as_ref().unwrap();
        let life = Duration::from_hours(1);
        let session = Session::new(access_key, Holder::User, UNIX_EPOCH, life).unwrap();
        let credentials = session.mint(parent.secret_key().unwrap()).unwrap();
        let token = credentials.session_token.expose().to_owned();
        let access_key = credentials.access_key.as_str().to_owned();
        assert!(use_again(sessions, parent, (&token, &access_key), region));
        (token, access_key)
    }

    /// Uses a session. Returns whether its keys were derived again.
    fn use_again(
        sessions: &Sessions,
        parent: &Credential,
        (token, access_key): (&str, &str),
        region: &str,
    ) -> bool {
        let scope = format!("20260102/{region}/s3/aws4_request");
        let scope = CredentialScope::parse(&scope).unwrap();
        let named = sessions.named(token.into(), access_key, &scope).unwrap();
        let mut is_derived = false;
        let usable = Some((parent, parent.secret_key().unwrap()));
        let derive = |key, _: &Credential| {
            is_derived = true;
            Derived { key: Arc::new(key), owner: None, limit: Limit::None, text: Arc::default() }
        };
        sessions.signing_key(&named, &scope, usable, |_| true, derive).unwrap();
        is_derived
    }

    #[test]
    fn derived_keys_are_cached_by_token_region_and_version_of_the_parent() {
        let (sessions, parent) = (Sessions::new(1 << 20), parent());
        let (token, access_key) = use_new(&sessions, &parent, "eu-1");
        let session = (&*token, &*access_key);
        assert!(!use_again(&sessions, &parent, session, "eu-1"));
        assert!(use_again(&sessions, &parent, session, "eu-2"));
        let changed = parent.touched(UNIX_EPOCH);
        assert!(use_again(&sessions, &changed, session, "eu-1"));
        assert!(!use_again(&sessions, &changed, session, "eu-1"));
    }

    #[test]
    fn many_sessions_do_not_exceed_the_memory() {
        let (sessions, parent) = (Sessions::new(100_000), parent());
        for _ in 0..5_000 {
            use_new(&sessions, &parent, "eu-1");
            assert!(sessions.0.weight() <= 100_000);
        }
        assert!(sessions.0.len() > 20, "{sessions:?}");
        let long = "r".repeat(LONGEST_REGION + 1);
        let before = sessions.0.len();
        use_new(&sessions, &parent, &long);
        assert_eq!(sessions.0.len(), before);
    }
}
