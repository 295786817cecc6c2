//! [`Verifier`]: decides whether a request was signed with a key that may sign.

use std::{cell::RefCell, hint, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{
    chunk_headers,
    counting::Verifications,
    enforcement::{Enforcement, Limit},
    guesses::{Refuser, is_guess},
    key::{Signed, VerifiedKey},
    refusal::Refusal,
    rules::{KeyRules, SignatureRules},
    sessions::{self, ClaimedSession, NotGenuine, Sessions},
    signing_keys::{Derived, SigningKeys},
};
use crate::{
    backend::{KeySource, Known, look_up},
    clock::Clock,
    domain::{Credential, SecretKey},
    guessers::{Guess, Guessers, Held},
    policy::Remembered,
    session::Session,
    signature::{
        ChunkChain, ChunkDecoder, CredentialScope, SigningKey, decoy,
        form::SESSION_TOKEN,
        request::{Detached, Payload, RequestHead, SignedRequest, Streaming},
    },
    usage::UsageRecorder,
};

/// Verifies signatures, with the settings of the builder.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) rules: KeyRules,
    pub(super) sessions: Sessions,
    pub(super) signing_keys: SigningKeys,
    pub(super) usage: Option<UsageRecorder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signatures: SignatureRules,
    pub(super) hide_unknown_keys: bool,
    pub(super) enforcement: Enforcement,
    /// Without it, failures are not counted.
    pub(super) guessers: Option<Guessers>,
    pub(super) verifications: Verifications,
}

/// What to do with a request that is not refused.
#[derive(Debug)]
pub(super) enum Decision {
    /// The request is verified.
    Admit(Verified),
    /// The signature is valid. The directory must be asked about the key's owner.
    CheckOwner(Verified),
    /// The request is signed. The key must be looked up in the store.
    LookUp(Detached),
    /// The request is not signed.
    Unsigned,
}

/// A valid signature.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) key: VerifiedKey,
    /// What is remembered about the key's owner. `None` without a directory.
    owner: Option<Arc<Remembered>>,
    /// The decoder of the body, if the body is in chunks.
    pub(super) chunks: Option<Box<ChunkDecoder>>,
    /// What the key may do.
    pub(super) limit: Limit,
}

impl Verifier {
    /// Decides without waiting, as far as possible.
    pub(super) fn decide(
        &self,
        head: RequestHead<'_>,
        now: SystemTime,
    ) -> Result<Decision, Refusal> {
        let Some(signed) = SignedRequest::parse(head)? else { return Ok(Decision::Unsigned) };
        self.signatures.check(&signed, now)?;
        let session = self.session_of(&signed)?;
        let found = match self.keys.known(looked_up(&signed, session.as_ref()), now) {
            Some(Known::Absent) => None,
            Some(Known::Present(credential)) => Some(credential),
            None => {
                drop(session);
                return Ok(Decision::LookUp(signed.detach()));
            }
        };
        let verified = self.verify(head, (&signed, session.as_ref()), found, now)?;
        if !self.rules.owner_is_known(verified.owner.as_deref(), now) {
            return Ok(Decision::CheckOwner(verified));
        }
        self.record_use(verified.key.credential(), now);
        Ok(Decision::Admit(verified))
    }

    /// Looks up the key of a signed request, and continues with it.
    pub(super) async fn look_up(
        &self,
        head: RequestHead<'_>,
        signed: Detached,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        let signed = signed.attach(head);
        let session = self.session_of(&signed)?;
        let found = self.find(looked_up(&signed, session.as_ref()), now).await?;
        let verified = self.verify(head, (&signed, session.as_ref()), found, now)?;
        self.check_owner_of(verified, now).await
    }

    /// Checks the owner of the key that made a valid signature.
    pub(super) async fn check_owner_of(
        &self,
        verified: Verified,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        let credential = verified.key.credential();
        let owner = verified.owner.as_deref();
        self.check_owner(verified.key.named(), credential, owner, now).await?;
        self.record_use(credential, now);
        Ok(verified)
    }

    /// Returns the record with this access key.
    pub(super) async fn find(
        &self,
        access_key: &str,
        now: SystemTime,
    ) -> Result<Option<Arc<Credential>>, Refusal> {
        look_up(&*self.keys, access_key, now).await.map_err(|error| {
            tracing::error!(%error, "key lookup failed");
            Refusal::unavailable()
        })
    }

    /// Refuses a key whose owner may not use it now. The request names the access key `named`.
    pub(super) async fn check_owner(
        &self,
        named: &str,
        credential: &Credential,
        owner: Option<&Remembered>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        match self.rules.owner_may_use(credential, owner, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.unknown(named)),
            Err(error) => {
                tracing::error!(%error, "directory lookup failed");
                Err(Refusal::unavailable())
            }
        }
    }

    pub(super) fn record_use(&self, credential: &Credential, now: SystemTime) {
        if let Some(usage) = &self.usage {
            usage.used(credential, now);
        }
    }

    /// Verifies a signature with the record that was found for its access key.
    #[inline]
    fn verify(
        &self,
        head: RequestHead<'_>,
        (signed, session): (&SignedRequest<'_>, Option<&ClaimedSession<'_>>),
        found: Option<Arc<Credential>>,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        let is_known = found.is_some();
        let usable = found.filter(|found| self.rules.may_sign(found, now));
        let guess = |error: Option<NotGenuine>, usable: Option<&Credential>| {
            is_guess(error, is_known, usable).then(|| Guess::access_key(looked_up(signed, session)))
        };
        with_scratch(|text| {
            let genuine = match signed {
                SignedRequest::V2(request) => {
                    let bucket = self.signatures.bucket_of(head)?;
                    request.write_string_to_sign(text, bucket.as_deref())?;
                    let secret = secret_of(usable.as_deref()).unwrap_or(decoy());
                    let is_signed = request.is_signature_of(secret, text);
                    is_signed.then_some(None).ok_or(NotGenuine::Signature)
                }
                SignedRequest::V4(request) => {
                    request.write_string_to_sign(text)?;
                    let is_signed = |key: &SigningKey| key.verify(text, request.signature());
                    let key = (&request.scope(), request.signed_headers(), session);
                    self.signing_key(key, usable.as_deref(), is_signed).map(Some)
                }
            };
            match (genuine, usable) {
                (Ok(derived), Some(credential)) => {
                    let session = session.map(|named| Arc::clone(named.session()));
                    self.check_session(session.as_deref(), &credential, now)?;
                    let (signing_key, owner, limit, text) =
                        if let Some(Derived { key, owner, limit, text }) = derived {
                            (Some(key), owner, limit, Some(text))
                        } else {
                            let owner = self.rules.owner_of(&credential);
                            (None, owner, Limit::of(&credential), None)
                        };
                    let chain = chain_of(signed, signing_key);
                    let signature = Signed::of_request(signed, text.as_ref());
                    let key = VerifiedKey::new(credential, session, signature);
                    // Before the owner is looked up: a malformed request costs no lookup.
                    let chunks = chunk_headers::decoder(head.headers(), key.payload(), chain)?;
                    Ok(Verified { key, owner, chunks, limit })
                }
                (genuine, usable) => {
                    let (error, is_unknown) = (genuine.err(), usable.is_none());
                    let refusal = match error {
                        _ if is_unknown && !self.hide_unknown_keys => {
                            Refusal::unknown_key(signed.access_key())
                        }
                        Some(NotGenuine::Claims | NotGenuine::Token) if !self.hide_unknown_keys => {
                            sessions::invalid()
                        }
                        _ => mismatch(signed, text),
                    };
                    Err(refusal.with_guess(guess(error, usable.as_deref())))
                }
            }
        })
    }

    /// Returns the signing key, if it made the signature.
    ///
    /// Every failure costs one derivation and one signature: the response time must not reveal
    /// whether a key exists, nor whether it has signed here before.
    pub(super) fn signing_key(
        &self,
        (scope, signed_headers, session): (&CredentialScope<'_>, &str, Option<&ClaimedSession<'_>>),
        usable: Option<&Credential>,
        is_signed: impl Fn(&SigningKey) -> bool,
    ) -> Result<Derived, NotGenuine> {
        let usable = usable.zip(secret_of(usable));
        let derived = |key, credential: &Credential| Derived {
            key: Arc::new(key),
            owner: self.rules.owner_of(credential),
            limit: Limit::of(credential),
            text: Signed::text(scope.region(), signed_headers),
        };
        if let Some(session) = session {
            return self.sessions.signing_key(session, scope, usable, is_signed, derived);
        }
        let Some((credential, secret)) = usable else {
            hint::black_box(is_signed(&SigningKey::derive(decoy(), scope)));
            return Err(NotGenuine::Signature);
        };
        if let Some(derived) = self.signing_keys.get(credential, scope) {
            if is_signed(&derived.key) {
                return Ok(derived);
            }
            hint::black_box(SigningKey::derive(decoy(), scope));
            return Err(NotGenuine::Signature);
        }
        let key = SigningKey::derive(secret, scope);
        if !is_signed(&key) {
            return Err(NotGenuine::Signature);
        }
        let derived = derived(key, credential);
        self.signing_keys.insert(credential, scope, derived.clone());
        Ok(derived)
    }

    /// Returns the session that a request names, if it has a session token.
    fn session_of<'a>(
        &self,
        signed: &'a SignedRequest<'_>,
    ) -> Result<Option<ClaimedSession<'a>>, Refusal> {
        match (signed, signed.session_token()) {
            (SignedRequest::V4(request), Some(token)) => {
                self.sessions.named(token, request.access_key(), &request.scope()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Refuses a session with a valid signature that may not be used now.
    pub(super) fn check_session(
        &self,
        session: Option<&Session>,
        parent: &Credential,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let Some(session) = session else { return Ok(()) };
        sessions::check(session, parent, now, self.signatures.max_skew)
    }

    /// Refuses a key or a session that has ended since its signature was verified.
    pub(super) fn check_end(&self, key: &VerifiedKey, now: SystemTime) -> Result<(), Refusal> {
        if key.credential().is_expired(now) {
            return Err(self.unknown(key.named()));
        }
        self.check_session(key.session(), key.credential(), now)
    }

    /// Checks whether a request without a signature may pass.
    pub(super) fn check_unsigned<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        self.signatures.check_anonymous(request.headers().contains_key(SESSION_TOKEN))
    }

    /// Renders a refusal. It is late if the client has guessed too often.
    pub(super) fn refuse(&self, refusal: &Refusal, refuser: &Refuser) -> Held<Full<Bytes>> {
        refuser.refuse(refusal, self.guessers.as_ref())
    }

    /// Returns the refusal of a wrong signature or token.
    pub(super) fn not_genuine(&self, error: NotGenuine, named: &str) -> Refusal {
        match error {
            NotGenuine::Claims | NotGenuine::Token if !self.hide_unknown_keys => {
                sessions::invalid()
            }
            NotGenuine::Claims | NotGenuine::Signature | NotGenuine::Token => {
                Refusal::mismatch(named)
            }
        }
    }

    /// Returns the refusal of a key that does not exist or may not be used.
    pub(super) fn unknown(&self, access_key: &str) -> Refusal {
        if self.hide_unknown_keys {
            Refusal::mismatch(access_key)
        } else {
            Refusal::unknown_key(access_key)
        }
    }
}

/// Returns the access key whose record is looked up: that of the session's parent, if there is a
/// session.
fn looked_up<'a>(
    signed: &'a SignedRequest<'_>,
    session: Option<&'a ClaimedSession<'_>>,
) -> &'a str {
    session.map_or(signed.access_key(), |named| named.session().parent().as_str())
}

pub(super) fn secret_of(credential: Option<&Credential>) -> Option<&SecretKey> {
    credential?.secret_key()
}

/// Starts the chain of chunk signatures with the signature of the head. `None` if the request
/// declares no signed chunks.
fn chain_of(signed: &SignedRequest<'_>, key: Option<Arc<SigningKey>>) -> Option<Box<ChunkChain>> {
    let SignedRequest::V4(request) = signed else { return None };
    let Payload::Streaming(Streaming::Signed | Streaming::SignedTrailer) = request.payload() else {
        return None;
    };
    let (time, scope) = (request.timestamp(), request.scope_text());
    Some(Box::new(ChunkChain::new(key?, time, scope, request.signature()?)))
}

/// Returns the refusal of a wrong signature, with the strings that the client can compare.
fn mismatch(signed: &SignedRequest<'_>, text: &[u8]) -> Refusal {
    let refusal = Refusal::mismatch(signed.access_key()).with_signed("StringToSign", text);
    match signed {
        // It would contain the token.
        _ if signed.session_token().is_some() => refusal,
        SignedRequest::V2(_) => refusal,
        SignedRequest::V4(request) => match request.canonical_request() {
            Ok(canonical) => refusal.with_signed("CanonicalRequest", &canonical),
            Err(_) => refusal,
        },
    }
}

thread_local! {
    /// The buffer for canonical requests, reused so that no request allocates one.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The largest buffer that a thread keeps, in bytes.
const SCRATCH_KEPT: usize = 16_384;

/// Runs `work` with an empty buffer.
#[inline]
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut text = SCRATCH.take();
    text.clear();
    let result = work(&mut text);
    if text.capacity() <= SCRATCH_KEPT {
        SCRATCH.set(text);
    }
    result
}

#[cfg(test)]
mod tests;
