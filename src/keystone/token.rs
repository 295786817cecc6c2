//! The service user's token: obtained, renewed in time, replaced when rejected.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::{
    clock::Clock,
    flight::{Flights, Joined},
};

use super::{
    error::KeystoneError,
    login::ServiceLogin,
    transport::{MAX_ANSWER, Outgoing, SUBJECT_TOKEN, Transport},
    wire,
};

/// How long a failed login is not repeated, while the old token is still valid or when Keystone
/// rejected the login. Keystone may lock a user after several failed logins.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long before its expiry a token is renewed at the latest.
const MARGIN: Duration = Duration::from_mins(5);

/// A token of the service user.
pub(super) struct Token {
    /// The token itself, marked sensitive.
    pub(super) header: HeaderValue,
    obtained_at: SystemTime,
    lifetime: Duration,
}

/// Obtains and keeps the service user's token.
pub(super) struct OwnToken {
    login: ServiceLogin,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    held: RwLock<Held>,
    flights: Arc<Flights<(), Answer>>,
}

type Answer = Result<Arc<Token>, KeystoneError>;

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// The error of the last login, if it failed, and the time.
    failed: Option<(SystemTime, KeystoneError)>,
}

impl OwnToken {
    pub(super) fn new(
        login: ServiceLogin,
        clock: Arc<dyn Clock>,
        transport: Arc<Transport>,
    ) -> Self {
        let (held, flights) = (RwLock::default(), Arc::default());
        Self { login, clock, transport, held, flights }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns a valid token. A token that is due is renewed in the background.
    pub(super) async fn current(self: &Arc<Self>) -> Answer {
        let now = self.clock.now();
        let held = self.held(|held| held.token.clone());
        match held.filter(|token| token.is_alive(now)) {
            Some(token) => {
                if token.is_due(now) && !self.held(|held| held.is_paused(now)) {
                    drop(self.renew(Some(&token)));
                }
                Ok(token)
            }
            None => result(self.renew(None)).await,
        }
    }

    /// Returns another token than this one, which Keystone rejected.
    pub(super) async fn replacement_for(self: &Arc<Self>, rejected: &Arc<Token>) -> Answer {
        result(self.renew(Some(rejected))).await
    }

    /// Logs in, unless there is another token than `old` by now.
    fn renew(self: &Arc<Self>, old: Option<&Arc<Token>>) -> Joined<Answer> {
        let known = || {
            let now = self.clock.now();
            self.held(|held| held.answer(old, now))
        };
        self.flights.join(&(), known, || Arc::clone(self).log_in())
    }

    async fn log_in(self: Arc<Self>) -> Answer {
        let asked_at = self.clock.now();
        let asked = tokio::time::timeout(self.transport.timeout, self.ask(asked_at));
        let answer = asked.await.unwrap_or_else(|_| Err(KeystoneError::timed_out()));
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match &answer {
            Ok(token) => *held = Held { token: Some(Arc::clone(token)), failed: None },
            Err(error) => held.failed = Some((self.clock.now(), error.clone())),
        }
        answer
    }

    async fn ask(&self, asked_at: SystemTime) -> Answer {
        let login = Outgoing {
            method: Method::POST,
            path: "/auth/tokens?nocatalog".into(),
            headers: HeaderMap::new(),
            body: self.login.body(),
            max_answer: MAX_ANSWER,
            is_idempotent: true,
        };
        let answer = self.transport.send(&login).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(KeystoneError::refused("Keystone rejects the service user's login"));
            }
            status => return Err(wire::unexpected_status("a login", status)),
        }
        let Some(header) = answer.headers.get(SUBJECT_TOKEN) else {
            return Err(KeystoneError::unexpected("Keystone's answer to the login has no token"));
        };
        let mut header = header.clone();
        header.set_sensitive(true);
        // Keystone's clock may differ from this one, so only the difference is used.
        let lifetime = wire::token(&answer.body)?.lifetime();
        Ok(Arc::new(Token { header, obtained_at: asked_at, lifetime }))
    }

    fn held<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn result(joined: Joined<Answer>) -> Answer {
    let ended = || Err(KeystoneError::unexpected("the login was aborted"));
    joined.answer().await.unwrap_or_else(ended)
}

impl Held {
    /// The answer without a login, for a caller that has `old` already.
    fn answer(&self, old: Option<&Arc<Token>>, now: SystemTime) -> Option<Answer> {
        let another = |token: &&Arc<Token>| old.is_none_or(|old| !Arc::ptr_eq(token, old));
        let token = self.token.as_ref().filter(another).filter(|token| token.is_alive(now));
        if let Some(token) = token {
            return Some(Ok(Arc::clone(token)));
        }
        let (_, error) = self.failed.as_ref().filter(|_| self.is_paused(now))?;
        (!error.is_outage()).then(|| Err(error.clone()))
    }

    /// Returns whether the last login failed too recently to repeat it.
    fn is_paused(&self, now: SystemTime) -> bool {
        let since = self.failed.as_ref().map(|(at, _)| now.duration_since(*at));
        matches!(since, Some(Ok(since)) if since < RETRY_PAUSE)
    }
}

impl Token {
    fn is_alive(&self, now: SystemTime) -> bool {
        // If the clock was set back, the age is unknown, and Keystone decides.
        now.duration_since(self.obtained_at).map_or(true, |age| age < self.lifetime)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        // A token of unknown age is renewed too.
        now.duration_since(self.obtained_at).map_or(true, |age| age >= renew_after(self.lifetime))
    }
}

/// The age at which a token is renewed: 90 % of its lifetime or five minutes before its expiry,
/// whichever is sooner, but not in its first half.
fn renew_after(lifetime: Duration) -> Duration {
    (lifetime / 10 * 9).min(lifetime.saturating_sub(MARGIN).max(lifetime / 2))
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnToken").field("login", &self.login).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_renewed_before_its_expiry_and_not_at_once() {
        let minutes = Duration::from_mins;
        assert_eq!(renew_after(minutes(240)), minutes(216));
        assert_eq!(renew_after(minutes(60)), minutes(54));
        assert_eq!(renew_after(minutes(20)), minutes(15));
        assert_eq!(renew_after(minutes(4)), minutes(2));
        assert_eq!(renew_after(Duration::ZERO), Duration::ZERO);
    }
}
