//! [`Verifier`]: decides whether a request was signed with a key that may sign.

use std::{cell::RefCell, hint, sync::Arc, time::SystemTime};

use super::{
    chunk_headers,
    enforcement::{Enforcement, Limit},
    key::{Signed, VerifiedKey},
    refusal::Refusal,
    rules::{KeyRules, SignatureRules},
    signing_keys::{Derived, SigningKeys},
};
use crate::{
    backend::{KeySource, Known, look_up},
    clock::Clock,
    domain::{AccessKey, Credential, SecretKey},
    policy::Remembered,
    signature::{
        ChunkChain, ChunkDecoder, CredentialScope, SigningKey, decoy,
        request::{Detached, Payload, RequestHead, SignedRequest, Streaming},
    },
    usage::UsageRecorder,
};

/// Verifies signatures, with the settings of the builder.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) rules: KeyRules,
    pub(super) signing_keys: SigningKeys,
    pub(super) usage: Option<UsageRecorder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signatures: SignatureRules,
    pub(super) hide_unknown_keys: bool,
    pub(super) enforcement: Enforcement,
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
        let found = match self.keys.known(signed.access_key(), now) {
            Some(Known::Absent) => None,
            Some(Known::Present(credential)) => Some(credential),
            None => return Ok(Decision::LookUp(signed.detach())),
        };
        let verified = self.verify(head, &signed, found, now)?;
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
        let found = self.find(signed.access_key(), now).await?;
        let verified = self.verify(head, &signed, found, now)?;
        self.check_owner_of(verified, now).await
    }

    /// Checks the owner of the key that made a valid signature.
    pub(super) async fn check_owner_of(
        &self,
        verified: Verified,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        let credential = verified.key.credential();
        self.check_owner(credential, verified.owner.as_deref(), now).await?;
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

    /// Refuses a key whose owner may not use it now.
    pub(super) async fn check_owner(
        &self,
        credential: &Credential,
        owner: Option<&Remembered>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        match self.rules.owner_may_use(credential, owner, now).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let access_key = credential.access_key.as_ref().map_or("", AccessKey::as_str);
                Err(self.unknown(access_key))
            }
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
        signed: &SignedRequest<'_>,
        found: Option<Arc<Credential>>,
        now: SystemTime,
    ) -> Result<Verified, Refusal> {
        let usable = found.filter(|found| self.rules.may_sign(found, now));
        with_scratch(|text| {
            let genuine = match signed {
                SignedRequest::V2(request) => {
                    let bucket = self.signatures.bucket_of(head)?;
                    request.write_string_to_sign(text, bucket.as_deref())?;
                    let secret = secret_of(usable.as_deref()).unwrap_or(decoy());
                    request.is_signature_of(secret, text).then_some(None)
                }
                SignedRequest::V4(request) => {
                    request.write_string_to_sign(text)?;
                    let is_signed = |key: &SigningKey| key.verify(text, request.signature());
                    let scope = (&request.scope(), request.signed_headers());
                    self.signing_key(scope, usable.as_deref(), is_signed).map(Some)
                }
            };
            match (genuine, usable) {
                (Some(derived), Some(credential)) => {
                    let (signing_key, owner, limit, text) =
                        if let Some(Derived { key, owner, limit, text }) = derived {
                            (Some(key), owner, limit, Some(text))
                        } else {
                            let owner = self.rules.owner_of(&credential);
                            (None, owner, Limit::of(&credential), None)
                        };
                    let chain = chain_of(signed, signing_key);
                    let signature = Signed::of_request(signed, text.as_ref());
                    let key = VerifiedKey::new(credential, signature);
                    // Before the owner is looked up: a malformed request costs no lookup.
                    let chunks = chunk_headers::decoder(head.headers(), key.payload(), chain)?;
                    Ok(Verified { key, owner, chunks, limit })
                }
                (_, None) if !self.hide_unknown_keys => {
                    Err(Refusal::unknown_key(signed.access_key()))
                }
                _ => Err(mismatch(signed, text)),
            }
        })
    }

    /// Returns the signing key, if it made the signature.
    ///
    /// Every failure costs one derivation and one signature: the response time must not reveal
    /// whether a key exists, nor whether it has signed here before.
    pub(super) fn signing_key(
        &self,
        (scope, signed_headers): (&CredentialScope<'_>, &str),
        usable: Option<&Credential>,
        is_signed: impl Fn(&SigningKey) -> bool,
    ) -> Option<Derived> {
        let Some((credential, secret)) = usable.zip(secret_of(usable)) else {
            hint::black_box(is_signed(&SigningKey::derive(decoy(), scope)));
            return None;
        };
        if let Some(derived) = self.signing_keys.get(credential, scope) {
            if is_signed(&derived.key) {
                return Some(derived);
            }
            hint::black_box(SigningKey::derive(decoy(), scope));
            return None;
        }
        let key = Arc::new(SigningKey::derive(secret, scope));
        if !is_signed(&key) {
            return None;
        }
        let owner = self.rules.owner_of(credential);
        let (limit, text) = (Limit::of(credential), Signed::text(scope.region(), signed_headers));
        let derived = Derived { key, owner, limit, text };
        self.signing_keys.insert(credential, scope, derived.clone());
        Some(derived)
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
