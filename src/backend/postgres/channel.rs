//! A session that is reopened whenever it is lost.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::backend::OpenError;

use super::connector::{Connector, Role};
use super::error::{PostgresError, backoff, cause};

use super::session::{Session, join_either};

/// A handle to a session that a background task keeps open. The task ends when the last
/// handle is dropped.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    state: watch::Receiver<State>,
    open_timeout: Duration,
}

#[derive(Clone, Debug)]
enum State {
    /// The session is being opened; callers wait.
    Opening,
    /// The last attempt failed and the next one is due after a pause; callers get the error.
    Down(Arc<OpenError>),
    Up(Arc<Session>),
}

impl Channel {
    pub(super) fn start(connector: Arc<Connector>, role: Role) -> Self {
        let open_timeout = connector.open_timeout();
        let (sender, state) = watch::channel(State::Opening);
        tokio::spawn(keep_open(connector, role, sender));
        Self { state, open_timeout }
    }

    /// Returns whether a session is open.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(session) if !session.is_closed())
    }

    /// Returns the open session; waits while it is being opened.
    pub(super) async fn session(&self) -> Result<Arc<Session>, PostgresError> {
        let ready = |state: &State| match state {
            // The background task is about to notice that this session broke.
            State::Up(session) if session.is_closed() => None,
            State::Up(session) => Some(Ok(Arc::clone(session))),
            State::Down(error) => Some(Err(PostgresError::Disconnected(Arc::clone(error)))),
            State::Opening => None,
        };
        if let Some(result) = ready(&self.state.borrow()) {
            return result;
        }
        let mut state = self.state.clone();
        let changed = timeout(self.open_timeout, state.wait_for(|state| ready(state).is_some()));
        match changed.await {
            Ok(Ok(state)) => ready(&state).unwrap_or(Err(PostgresError::TimedOut)),
            Ok(Err(_)) => Err(PostgresError::ShutDown),
            Err(_) => Err(PostgresError::TimedOut),
        }
    }
}

/// Opens the session, waits until it is lost, and starts over; pauses after each failure.
async fn keep_open(connector: Arc<Connector>, role: Role, sender: watch::Sender<State>) {
    let (mut failures, mut is_reopened) = (0, false);
    while !sender.is_closed() {
        match connector.open(role).await {
            Ok((session, driver)) => {
                if failures > 0 {
                    tracing::info!(?role, failures, "reconnected to the credential store");
                }
                failures = 0;
                let session = Arc::new(session);
                sender.send_replace(State::Up(Arc::clone(&session)));
                let superseded = async {
                    // The session may have been lost because another server was promoted.
                    if std::mem::replace(&mut is_reopened, true) {
                        connector.observe_all_hosts().await;
                    }
                    session.timeline().superseded().await;
                    session.close();
                };
                join_either(join_either(driver, sender.closed()), superseded).await;
                sender.send_replace(State::Opening);
            }
            Err(error) => {
                failures += 1;
                let source = cause(&error);
                if failures == 1 {
                    tracing::warn!(?role, %error, ?source, "cannot connect to the credential store");
                } else {
                    tracing::debug!(
                        ?role, failures, %error, ?source,
                        "still cannot connect to the credential store",
                    );
                }
                sender.send_replace(State::Down(Arc::new(error)));
                let pause = join_either(sleep(backoff(failures)), connector.opened());
                join_either(pause, sender.closed()).await;
                // Callers may wait for the next attempt.
                sender.send_replace(State::Opening);
            }
        }
    }
}
