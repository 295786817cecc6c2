//! Whether a request was signed with a key that may sign.

use std::{cell::RefCell, hint, sync::Arc, time::SystemTime};

use super::{
    admission,
    key::{self, Mechanism, Signed, VerifiedKey},
    layer::Anonymous,
    refusal::Refusal,
    rules::Rules,
    signature_rules::SignatureRules,
    signing_keys::{Derived, SigningKeys},
    upload,
};
use crate::{
    backend::{KeySource, Known, look_up},
    clock::Clock,
    domain::{AccessKey, Credential, SecretKey},
    policy::Remembered,
    signature::{
        ChunkDecoder, CredentialScope, Freshness, SigningKey, decoy,
        request::{RequestHead, SignedRequest, V2Request},
    },
    usage::UsageRecorder,
};

/// What verifies requests, as the builder set it.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) rules: Rules,
    pub(super) signing_keys: SigningKeys,
    pub(super) usage: Option<UsageRecorder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signatures: SignatureRules,
    pub(super) hide_unknown_keys: bool,
}

/// What to do with a request that is not refused.
#[derive(Debug)]
pub(super) enum Decision {
    /// It is verified.
    Admit(Proven),
    /// It is signed, and the key must be looked up first.
    Ask,
    /// Its signature is valid, and the directory must be asked about the key's owner.
    AskOwner(Proven),
    /// It is a form, which may be signed by its fields.
    Form,
    /// It is not signed, and may pass.
    Pass,
}

/// A valid signature.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) key: VerifiedKey,
    /// What is remembered about the key's owner; `None` without a directory.
    owner: Option<Arc<Remembered>>,
    /// What takes the body out of its chunks, if it comes in chunks.
    pub(super) chunks: Option<Box<ChunkDecoder>>,
}

impl Verifier {
    /// Decides without waiting, if that can be done.
    pub(super) fn decide(
        &self,
        head: RequestHead<'_>,
        now: SystemTime,
    ) -> Result<Decision, Refusal> {
        let Some(signed) = SignedRequest::parse(head)? else {
            if upload::is_upload(head) {
                return Ok(Decision::Form);
            }
            return match self.signatures.anonymous {
                Anonymous::Pass => Ok(Decision::Pass),
                Anonymous::Refuse => Err(Refusal::anonymous()),
            };
        };
        self.signatures.check(&signed, now)?;
        let found = match self.keys.known(signed.access_key(), now) {
            Some(Known::Absent) => None,
            Some(Known::Present(credential)) => Some(credential),
            None => return Ok(Decision::Ask),
        };
        let proven = self.prove(head, &signed, found)?;
        if !self.rules.owner_is_good(proven.owner.as_deref(), now) {
            return Ok(Decision::AskOwner(proven));
        }
        self.note(proven.key.credential(), now);
        Ok(Decision::Admit(proven))
    }

    /// Decides on a signed request, after looking its key up.
    pub(super) async fn ask(
        &self,
        head: RequestHead<'_>,
        now: SystemTime,
    ) -> Result<Proven, Refusal> {
        let Some(signed) = SignedRequest::parse(head)? else { return Err(Refusal::anonymous()) };
        self.signatures.check(&signed, now)?;
        let found = self.find(signed.access_key(), now).await?;
        let proven = self.prove(head, &signed, found)?;
        self.ask_owner(proven, now).await
    }

    /// Decides on a valid signature, by the owner of its key.
    pub(super) async fn ask_owner(
        &self,
        proven: Proven,
        now: SystemTime,
    ) -> Result<Proven, Refusal> {
        let credential = proven.key.credential();
        self.check_owner(credential, proven.owner.as_deref(), now).await?;
        self.note(credential, now);
        Ok(proven)
    }

    /// The record with this access key.
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
        match self.rules.ask(credential, owner, now).await {
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

    pub(super) fn note(&self, credential: &Credential, now: SystemTime) {
        if let Some(usage) = &self.usage {
            usage.used(credential, now);
        }
    }

    /// Whether the signature is right, and of a key that may sign.
    fn prove(
        &self,
        head: RequestHead<'_>,
        signed: &SignedRequest<'_>,
        found: Option<Arc<Credential>>,
    ) -> Result<Proven, Refusal> {
        let usable = found.filter(|found| self.rules.admit(found));
        with_scratch(|text| {
            let genuine = match signed {
                SignedRequest::V2(request) => {
                    let bucket = self.signatures.bucket_of(head)?;
                    request.write_string_to_sign(text, bucket.as_deref())?;
                    let secret = secret_of(usable.as_deref());
                    let right = request.is_signature_of(secret.unwrap_or(decoy()), text);
                    right.then_some(None)
                }
                SignedRequest::V4(request) => {
                    request.write_string_to_sign(text)?;
                    let is_signed = |key: &SigningKey| key.verify(text, request.signature());
                    self.test(&request.scope(), usable.as_deref(), is_signed).map(Some)
                }
            };
            match (genuine, usable) {
                (Some(derived), Some(credential)) => {
                    let (signing_key, owner) = match derived {
                        Some(Derived { key, owner }) => (Some(key), owner),
                        None => (None, self.rules.owner_of(&credential)),
                    };
                    let chunks = admission::chunks(head.headers(), signed, signing_key)?;
                    let key = VerifiedKey::new(credential, signed_of(signed));
                    Ok(Proven { key, owner, chunks })
                }
                (_, None) if !self.hide_unknown_keys => {
                    Err(Refusal::unknown_key(signed.access_key()))
                }
                _ => Err(mismatch(signed, text)),
            }
        })
    }

    /// The signing key, if the signature is its.
    ///
    /// Whatever fails costs one derivation and one signature: it must not show in the
    /// time whether a key is there, nor whether it signed here before.
    pub(super) fn test(
        &self,
        scope: &CredentialScope<'_>,
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
        let derived = Derived { key, owner: self.rules.owner_of(credential) };
        self.signing_keys.insert(credential, scope, derived.clone());
        Some(derived)
    }

    /// The answer for a key that is not there or may not be used.
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

/// What the app is told of the signature.
fn signed_of(signed: &SignedRequest<'_>) -> Signed {
    match signed {
        SignedRequest::V2(request) => signed_of_v2(request),
        SignedRequest::V4(request) => {
            let scope = request.scope();
            let (region, headers) = (scope.region(), request.signed_headers());
            let mut text = String::with_capacity(region.len() + headers.len());
            text.push_str(region);
            text.push_str(headers);
            let presigned = request.expires_in();
            Signed {
                mechanism: match presigned {
                    None => Mechanism::HeaderV4,
                    Some(_) => Mechanism::QueryV4,
                },
                at: Some(request.signed_at()),
                expires_at: key::end(request.signed_at(), presigned),
                payload: request.payload(),
                text: text.into_boxed_str(),
                region_len: region.len(),
            }
        }
    }
}

fn signed_of_v2(request: &V2Request<'_>) -> Signed {
    let (mechanism, at, expires_at) = match request.freshness() {
        Freshness::At(time) => (Mechanism::HeaderV2, Some(time), None),
        Freshness::Until(time) => (Mechanism::QueryV2, None, Some(time)),
        Freshness::Unknown => (Mechanism::HeaderV2, None, None),
    };
    let payload = request.payload();
    Signed { mechanism, at, expires_at, payload, text: Box::default(), region_len: 0 }
}

/// A wrong signature, with what was signed here for the client to compare.
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
    /// What canonical requests are written into, so that no request allocates for it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// No thread keeps more of a buffer than this, in bytes.
const SCRATCH_KEPT: usize = 16_384;

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
