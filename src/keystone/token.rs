//! The service user's own token: obtained, renewed in time, replaced when refused.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{
    KeystoneError, ServiceLogin,
    transport::{MAX_ANSWER, Outgoing, SUBJECT_TOKEN, Transport},
    wire,
};
use crate::{
    clock::Clock,
    flight::{Flights, Joined},
};

/// For how long a failed login is not repeated: while the old token still serves,
/// and when Keystone refused it, since it may lock a user after a few of them.
const PAUSE: Duration = Duration::from_secs(5);

/// How long before its end a token is renewed at the latest.
const MARGIN: Duration = Duration::from_mins(5);

/// A token of the service user.
pub(super) struct Token {
    /// The token itself, marked sensitive.
    pub(super) header: HeaderValue,
    obtained_at: SystemTime,
    life: Duration,
}

/// Keeps the service user's token.
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
    /// The last login, if it failed, and when that was.
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

    /// A token to ask with. One that is due is renewed meanwhile.
    pub(super) async fn current(self: &Arc<Self>) -> Answer {
        let now = self.clock.now();
        let held = self.held(|held| held.token.clone());
        match held.filter(|token| token.is_alive(now)) {
            Some(token) => {
                if token.is_due(now) && !self.held(|held| held.paused(now)) {
                    drop(self.renew(Some(&token)));
                }
                Ok(token)
            }
            None => landed(self.renew(None)).await,
        }
    }

    /// Another token than this one, which Keystone refused.
    pub(super) async fn instead_of(self: &Arc<Self>, refused: &Arc<Token>) -> Answer {
        landed(self.renew(Some(refused))).await
    }

    /// Logs in, unless there is by now another token than `old`.
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
            repeatable: true,
        };
        let answer = self.transport.send(&login).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(KeystoneError::refused("Keystone refuses the service user's login"));
            }
            status => return Err(wire::unexpected_status("a login", status)),
        }
        let Some(header) = answer.headers.get(SUBJECT_TOKEN) else {
            return Err(KeystoneError::unexpected("a login without a token"));
        };
        let mut header = header.clone();
        header.set_sensitive(true);
        // By Keystone's own clock, which may differ from this one.
        let life = wire::token(&answer.body)?.life();
        Ok(Arc::new(Token { header, obtained_at: asked_at, life }))
    }

    fn held<T>(&self, look: impl FnOnce(&Held) -> T) -> T {
        look(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn landed(joined: Joined<Answer>) -> Answer {
    let ended = || Err(KeystoneError::unexpected("the login was given up"));
    joined.answer().await.unwrap_or_else(ended)
}

impl Held {
    /// What is known without a login, for who has `old` already.
    fn answer(&self, old: Option<&Arc<Token>>, now: SystemTime) -> Option<Answer> {
        let another = |token: &&Arc<Token>| old.is_none_or(|old| !Arc::ptr_eq(token, old));
        let token = self.token.as_ref().filter(another).filter(|token| token.is_alive(now));
        if let Some(token) = token {
            return Some(Ok(Arc::clone(token)));
        }
        let (_, error) = self.failed.as_ref().filter(|_| self.paused(now))?;
        (!error.is_outage()).then(|| Err(error.clone()))
    }

    /// Whether a login failed just now.
    fn paused(&self, now: SystemTime) -> bool {
        let since = self.failed.as_ref().map(|(at, _)| now.duration_since(*at));
        matches!(since, Some(Ok(since)) if since < PAUSE)
    }
}

impl Token {
    fn is_alive(&self, now: SystemTime) -> bool {
        // A clock that was put back says nothing about it; Keystone will.
        now.duration_since(self.obtained_at).map_or(true, |age| age < self.life)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        // One whose age is unknown is renewed too, so that it is known again.
        now.duration_since(self.obtained_at).map_or(true, |age| age >= renew_after(self.life))
    }
}

/// At 90 % of its life or five minutes before its end, whichever is sooner, but
/// not in its first half.
fn renew_after(life: Duration) -> Duration {
    (life / 10 * 9).min(life.saturating_sub(MARGIN).max(life / 2))
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
    fn a_token_is_renewed_before_it_ends_and_not_at_once() {
        let minutes = Duration::from_mins;
        assert_eq!(renew_after(minutes(240)), minutes(216));
        assert_eq!(renew_after(minutes(60)), minutes(54));
        assert_eq!(renew_after(minutes(20)), minutes(15));
        assert_eq!(renew_after(minutes(4)), minutes(2));
        assert_eq!(renew_after(Duration::ZERO), Duration::ZERO);
    }
}
