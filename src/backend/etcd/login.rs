//! The token of the user that the store logs in as.

use std::fmt;

use http::HeaderValue;
use tokio::sync::Mutex;

use crate::domain::SecretText;

use super::client::encoded;
use super::error::{Trouble, TroubleKind};
use super::http::Http;
use super::members::Member;
use super::wire::{Authenticate, Authenticated};

/// A user and password, and the token that they were good for last.
pub(super) struct Login {
    name: String,
    password: SecretText,
    token: Mutex<Option<HeaderValue>>,
}

impl Login {
    pub(super) fn new(name: String, password: SecretText) -> Self {
        Self { name, password, token: Mutex::default() }
    }

    /// The token; asks this member for one if there is none.
    pub(super) async fn token(&self, http: &Http, member: &Member) -> Result<HeaderValue, Trouble> {
        // Held while it is asked for, so that one asks for all.
        let mut token = self.token.lock().await;
        if let Some(token) = &*token {
            return Ok(token.clone());
        }
        let login = Authenticate { name: &self.name, password: self.password.expose() };
        let uri = member.uri("/v3/auth/authenticate")?;
        let answer = http.call(uri, None, encoded(&login)).await.map_err(|trouble| {
            if trouble.is_passing() {
                return trouble;
            }
            let what = "etcd does not accept the user and password";
            Trouble::new(TroubleKind::LoginRefused, what).with_source(trouble)
        })?;
        let Authenticated { token: text } = serde_json::from_slice(&answer)
            .map_err(|_| Trouble::unexpected("etcd's answer to the login has no token"))?;
        let mut new = HeaderValue::try_from(text)
            .map_err(|_| Trouble::unexpected("etcd's token is no header"))?;
        new.set_sensitive(true);
        *token = Some(new.clone());
        Ok(new)
    }

    /// The token is no longer good, if it is still the same.
    pub(super) async fn forget(&self, refused: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token.as_ref() == Some(refused) {
            *token = None;
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}
