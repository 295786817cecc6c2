//! Callers that are keys: verifies the signature of a request to IAM or STS, and decides who its
//! signer is.

use std::{error::Error as StdError, fmt, sync::Arc, time::SystemTime};

use super::{checks::Authority, requester::Requester};
use crate::{
    audit::RequestFacts,
    domain::{AccessKey, Caller, Credential, KeyRoles, Scope, SecretKey},
    error::{Error, ErrorKind},
    guessers::Guess,
    policy::Standing,
    session::{Holder, Presented, Session, SessionRefusal},
    signature::{CredentialScope, SigningKey, decoy, request::V4Request},
};

/// A key that signed a request, or a session of it.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) credential: Arc<Credential>,
    pub(crate) session: Option<Arc<Session>>,
    /// The key's owner, with its roles in the project of the key.
    pub(crate) caller: Requester,
}

/// Why a request of a signer is refused or failed.
#[derive(Debug)]
pub(crate) struct SignerError {
    pub(crate) kind: SignerErrorKind,
    pub(crate) message: String,
    pub(crate) source: Option<Error>,
    /// What the request guessed at.
    pub(crate) guess: Option<Guess>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignerErrorKind {
    /// The signer may not do this.
    AccessDenied,
    /// The session has ended.
    ExpiredToken,
    /// The key does not exist or may not be used, or its session token is not valid.
    InvalidClient,
    /// A parameter is not valid.
    InvalidParameter,
    /// The policy is not a valid document.
    MalformedPolicy,
    /// The policies of a session are too large.
    PolicyTooLarge,
    /// The signature is wrong, or too old.
    WrongSignature,
    /// A refusal or failure of the use cases that other dialects share.
    Shared(ErrorKind),
}

impl SignerErrorKind {
    /// Returns the kind as a word, for audit events.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidClient => "invalid_client",
            Self::InvalidParameter => "invalid_parameter",
            Self::MalformedPolicy => "malformed_policy",
            Self::PolicyTooLarge => "policy_too_large",
            Self::WrongSignature => "wrong_signature",
            Self::Shared(kind) => kind.as_str(),
        }
    }
}

impl SignerError {
    pub(crate) fn new(kind: SignerErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, guess: None }
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(SignerErrorKind::AccessDenied, message)
    }

    fn invalid_client() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(SignerErrorKind::InvalidClient, message)
    }
}

impl From<Error> for SignerError {
    fn from(error: Error) -> Self {
        let (kind, message) = (SignerErrorKind::Shared(error.kind()), error.message().to_owned());
        Self { kind, message, source: Some(error), guess: None }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for SignerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Signer {
    /// Returns whether the signer may do less than its user: it is a session, or a key with a
    /// boundary.
    pub(crate) fn is_limited(&self) -> bool {
        self.session.is_some() || self.credential.terms.boundary().is_some()
    }

    /// Returns whom the signer stands for.
    pub(crate) fn holder(&self) -> &Holder {
        self.session.as_ref().map_or(&Holder::User, |session| session.holder())
    }
}

impl Authority {
    /// Returns the signer of a request, whose body has been read.
    ///
    /// Every refusal of a key, a token or a signature costs the same number of hash blocks as the
    /// others of its kind of credential.
    pub(crate) async fn signer_of(
        &self,
        request: &V4Request<'_>,
        facts: RequestFacts,
    ) -> Result<Signer, SignerError> {
        let now = self.clock.now();
        request
            .check_time(now, self.max_skew)
            .map_err(|error| SignerError::new(SignerErrorKind::WrongSignature, error.message()))?;
        let token = request.session_token();
        let presented = token.map(|token| {
            Presented::of(token, request.access_key()).ok_or_else(SignerError::invalid_client)
        });
        let presented = presented.transpose()?;
        let parent = presented.as_ref().map(|it| it.session().parent().clone());
        let looked_up = parent.unwrap_or_else(|| AccessKey::from_stored(request.access_key()));
        let found = self.backend().find_by_access_key(&looked_up).await.map_err(Error::from)?;
        let is_known = found.is_some();
        let usable = found.filter(|found| found.is_usable(now));
        // The secret of a key that may not sign cannot be guessed here.
        let is_barred = is_known && usable.as_ref().is_none_or(|it| it.secret_key().is_none());
        let verified = verified(request, presented.as_ref(), usable);
        let credential = verified.map_err(|error| match error {
            NotVerified::Guess(error) if !is_barred => {
                SignerError { guess: Some(Guess::access_key(looked_up.as_str())), ..error }
            }
            NotVerified::Guess(error) | NotVerified::Malformed(error) => error,
        })?;
        let session = presented.map(|presented| Arc::clone(presented.session()));
        if let Some(session) = &session {
            check(session, &credential, now, self)?;
        }
        let caller = self.caller_of(&credential, now).await?;
        let session_key = session.as_ref().map(|session| session.access_key().clone());
        let caller = Requester::new(Arc::new(caller), facts)
            .signed_with(credential.access_key.clone(), session_key);
        Ok(Signer { credential, session, caller })
    }

    /// The owner of a key as a caller: within the project of the key, with the roles that the
    /// directory knows.
    async fn caller_of(
        &self,
        credential: &Credential,
        now: SystemTime,
    ) -> Result<Caller, SignerError> {
        let standing = self.owners.standing(credential, now).await.map_err(Error::from)?;
        let roles = match standing.as_deref() {
            None => None,
            Some(Standing::Good(owner)) => Some(owner.roles.iter().map(|role| role.name.clone())),
            Some(Standing::Gone | Standing::Barred) => return Err(SignerError::invalid_client()),
        };
        let scope = credential.project_id.clone().map_or(Scope::Unscoped, Scope::Project);
        let caller = Caller::new(credential.user_id.clone(), scope);
        Ok(match roles {
            Some(roles) => caller.with_roles(roles).with_key(KeyRoles::Known),
            None => caller.with_key(KeyRoles::Unknown),
        })
    }
}

/// Why a signature is refused.
enum NotVerified {
    /// The signature or the token is not that of the key.
    Guess(SignerError),
    /// The request has no signature that could be verified.
    Malformed(SignerError),
}

/// Returns the record of the key that signed, if the signature and the token are genuine.
fn verified(
    request: &V4Request<'_>,
    presented: Option<&Presented<'_>>,
    usable: Option<Arc<Credential>>,
) -> Result<Arc<Credential>, NotVerified> {
    let secret = usable.as_ref().and_then(|usable| usable.secret_key()).unwrap_or(decoy());
    let (is_genuine, is_signed) = match presented {
        None => (true, is_signed_by(request, secret)?),
        Some(presented) => {
            let (secret, is_genuine) = presented.open(secret);
            (is_genuine, is_signed_by(request, &secret)?)
        }
    };
    match usable {
        Some(credential) if is_genuine && is_signed => Ok(credential),
        Some(_) if is_genuine => {
            let message = "The request signature we calculated does not match the signature you \
                           provided. Check your AWS Secret Access Key and signing method.";
            let error = SignerError::new(SignerErrorKind::WrongSignature, message);
            Err(NotVerified::Guess(error))
        }
        _ => Err(NotVerified::Guess(SignerError::invalid_client())),
    }
}

fn is_signed_by(request: &V4Request<'_>, secret: &SecretKey) -> Result<bool, NotVerified> {
    let scope: CredentialScope<'_> = request.scope();
    request.verify(&SigningKey::derive(secret, &scope)).map_err(|error| {
        let error = SignerError::new(SignerErrorKind::WrongSignature, error.message());
        NotVerified::Malformed(error)
    })
}

fn check(
    session: &Session,
    parent: &Credential,
    now: SystemTime,
    authority: &Authority,
) -> Result<(), SignerError> {
    session.check(parent, now, authority.max_skew).map_err(|refusal| match refusal {
        SessionRefusal::BreaksRule => SignerError::invalid_client(),
        SessionRefusal::Ended => {
            let message = "The security token included in the request is expired.";
            SignerError::new(SignerErrorKind::ExpiredToken, message)
        }
    })
}
