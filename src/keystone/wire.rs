//! The JSON of Keystone's answers, as far as it is used.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::error::KeystoneError;

/// Keystone's description of a token.
#[derive(Deserialize)]
pub(super) struct TokenInfo {
    pub(super) user: Id,
    #[serde(default)]
    pub(super) methods: Vec<String>,
    #[serde(default)]
    pub(super) roles: Vec<RoleInfo>,
    pub(super) project: Option<Id>,
    pub(super) domain: Option<Id>,
    pub(super) system: Option<serde::de::IgnoredAny>,
    pub(super) expires_at: Timestamp,
    issued_at: Timestamp,
    #[serde(rename = "OS-TRUST:trust")]
    pub(super) trust: Option<Id>,
    pub(super) application_credential: Option<ApplicationCredentialOfToken>,
    #[serde(rename = "OS-OAUTH1")]
    pub(super) oauth1: Option<OAuth1OfToken>,
}

#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) id: String,
}

#[derive(Clone, Deserialize)]
pub(super) struct RoleInfo {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct ApplicationCredentialOfToken {
    pub(super) id: String,
    /// The default is the safe one.
    #[serde(default = "yes")]
    pub(super) restricted: bool,
}

#[derive(Deserialize)]
pub(super) struct OAuth1OfToken {
    pub(super) access_token_id: String,
}

fn yes() -> bool {
    true
}

/// A time in Keystone's format.
#[derive(Clone, Copy)]
pub(super) struct Timestamp(pub(super) SystemTime);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        // Application credentials omit the time zone, which is UTC.
        let time = OffsetDateTime::parse(&text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339))
            .map_err(serde::de::Error::custom)?;
        Ok(Self(time.into()))
    }
}

impl TokenInfo {
    /// The lifetime of the token, by Keystone's clock.
    pub(super) fn lifetime(&self) -> Duration {
        self.expires_at.0.duration_since(self.issued_at.0).unwrap_or_default()
    }
}

/// Parses the answer that describes a token.
pub(super) fn token(body: &[u8]) -> Result<TokenInfo, KeystoneError> {
    #[derive(Deserialize)]
    struct Envelope {
        token: TokenInfo,
    }
    Ok(parse::<Envelope>(body)?.token)
}

/// Parses an answer.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, KeystoneError> {
    // The parser's message is omitted because it quotes the text.
    serde_json::from_slice(body)
        .map_err(|_| KeystoneError::unexpected("Keystone's answer is not the expected JSON"))
}

/// The error of an answer with an unexpected status.
pub(super) fn unexpected_status(things: &str, status: StatusCode) -> KeystoneError {
    KeystoneError::unexpected(format!("Keystone returned status {} for {things}", status.as_u16()))
}
