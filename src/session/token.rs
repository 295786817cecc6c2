//! [`SessionToken`]: the text that stands for a session, and the secret key that goes with it.

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{claims::Session, error::SessionError};
use crate::{
    domain::{AccessKey, SecretKey, SecretText},
    signature::hkdf::{self, DerivingKey},
};

/// The first part of a token: the version of the format.
const VERSION: &str = "tc1";

/// The longest token, in characters.
const MAX_TOKEN: usize = 4_096;

/// What the key of the code is derived for.
const FOR_CODE: &[u8] = b"tower-credentials session code";

/// What a session's secret is derived for.
const FOR_SECRET: &[u8] = b"tower-credentials session secret\0";

/// The random bytes of a session's secret.
const SECRET: usize = 30;

/// The credentials of a session, as a client uses them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionCredentials {
    /// The access key: `ASIA` and 16 characters.
    pub access_key: AccessKey,
    /// The secret key: 40 characters.
    pub secret_key: SecretKey,
    /// The token, which every request must contain.
    pub session_token: SessionToken,
    /// The end of the session.
    pub expires_at: SystemTime,
}

/// A session token. `Debug` does not show it.
#[derive(Clone)]
pub struct SessionToken(SecretText);

impl SessionToken {
    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

opaque_debug!(SessionToken);

impl Session {
    /// Makes the credentials of the session, with the secret key of its parent.
    ///
    /// # Errors
    ///
    /// [`SessionError::ShortSecret`] if the secret has less than 32 characters.
    pub fn mint(&self, parent: &SecretKey) -> Result<SessionCredentials, SessionError> {
        if !Self::is_long_enough(parent) {
            return Err(SessionError::ShortSecret);
        }
        let signed = format!("{VERSION}.{}", BASE64URL_NOPAD.encode(self.encode().as_bytes()));
        let key = DerivingKey::extract(parent);
        let code = BASE64URL_NOPAD.encode(&code(&key, &signed));
        Ok(SessionCredentials {
            access_key: self.access_key().clone(),
            secret_key: secret(&key, &signed),
            session_token: SessionToken(SecretText::new(format!("{signed}.{code}"))),
            expires_at: self.expires_at(),
        })
    }
}

/// A token that a client sent. Its code is not verified yet.
#[derive(Clone)]
pub(crate) struct Presented<'a> {
    token: Cow<'a, str>,
    /// The length of what the code is made of.
    signed: usize,
    code: [u8; 32],
    session: Arc<Session>,
}

impl<'a> Presented<'a> {
    /// Parses a token. `None` if it breaks the format.
    pub(crate) fn parse(token: impl Into<Cow<'a, str>>) -> Option<Self> {
        let token = token.into();
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, code) = token.rsplit_once('.')?;
        let (version, claims) = signed.split_once('.')?;
        if version != VERSION {
            return None;
        }
        let code = BASE64URL_NOPAD.decode(code.as_bytes()).ok()?.try_into().ok()?;
        let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
        let (signed, session) = (signed.len(), Arc::new(Session::decode(&claims)?));
        Some(Self { token, signed, code, session })
    }

    /// Parses a token that must be that of this access key. `None` if it breaks the format, or is
    /// another one's.
    pub(crate) fn of(token: impl Into<Cow<'a, str>>, access_key: &str) -> Option<Self> {
        let presented = Self::parse(token)?;
        (presented.session.access_key().as_str() == access_key).then_some(presented)
    }

    /// Returns the session that the token claims.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Returns the session's secret key, and whether the token is genuine: made with this secret
    /// of its parent. Costs the same if it is not.
    pub(crate) fn open(&self, parent: &SecretKey) -> (SecretKey, bool) {
        let (key, signed) = (DerivingKey::extract(parent), &self.token[..self.signed]);
        let is_genuine = hkdf::is_same_mac(&code(&key, signed), &self.code);
        (secret(&key, signed), is_genuine && !parent.expose().is_empty())
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("session", &self.session).finish_non_exhaustive()
    }
}

fn code(key: &DerivingKey, signed: &str) -> [u8; 32] {
    hkdf::mac(&key.expand(&[FOR_CODE]), signed.as_bytes())
}

fn secret(key: &DerivingKey, signed: &str) -> SecretKey {
    let bytes = key.expand(&[FOR_SECRET, signed.as_bytes()]);
    let text = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes[..SECRET]));
    SecretKey::from_stored(text.as_str())
}

#[cfg(test)]
mod tests;
