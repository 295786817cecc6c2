//! A session that is opened again whenever it is lost.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::connection::Link;
use super::connector::{Connector, Role};
use super::error::cause;
use super::together::either;
use super::trouble::Trouble;
use crate::backend::OpenError;

/// The pause after the first failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The way to a session that a task of its own keeps open. When the last handle is
/// dropped, the task ends.
#[derive(Clone, Debug)]
pub(super) struct Line {
    state: watch::Receiver<State>,
    patience: Duration,
}

#[derive(Clone, Debug)]
enum State {
    /// It is being opened; whoever needs it waits.
    Opening,
    /// It could not be opened, and there is a pause: whoever needs it is told so.
    Down(Arc<OpenError>),
    Up(Arc<Link>),
}

impl Line {
    pub(super) fn start(connector: Arc<Connector>, role: Role) -> Self {
        let patience = connector.patience();
        let (sender, state) = watch::channel(State::Opening);
        tokio::spawn(keep(connector, role, sender));
        Self { state, patience }
    }

    /// Whether a session is open.
    pub(super) fn is_up(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up(link) if !link.is_closed())
    }

    /// The open session; waits while it is being opened.
    pub(super) async fn link(&self) -> Result<Arc<Link>, Trouble> {
        let open = |state: &State| match state {
            // What just broke will be seen to be broken.
            State::Up(link) if link.is_closed() => None,
            State::Up(link) => Some(Ok(Arc::clone(link))),
            State::Down(error) => Some(Err(Trouble::Away(Arc::clone(error)))),
            State::Opening => None,
        };
        if let Some(result) = open(&self.state.borrow()) {
            return result;
        }
        let mut state = self.state.clone();
        let waiting = timeout(self.patience, state.wait_for(|state| open(state).is_some())).await;
        let changed = waiting.map_err(|_| Trouble::TimedOut)?.map_err(|_| Trouble::Gone)?;
        open(&changed).unwrap_or(Err(Trouble::TimedOut))
    }
}

/// Opens the session, waits until it is lost, and so on; with pauses as long as it
/// cannot be opened.
async fn keep(connector: Arc<Connector>, role: Role, sender: watch::Sender<State>) {
    let (mut failures, mut is_again) = (0, false);
    while !sender.is_closed() {
        match connector.open(role).await {
            Ok((link, driver)) => {
                if failures > 0 {
                    tracing::info!(?role, failures, "connected to the credential store again");
                }
                failures = 0;
                let link = Arc::new(link);
                sender.send_replace(State::Up(Arc::clone(&link)));
                let left_behind = async {
                    // A session may be lost since another server took over.
                    if std::mem::replace(&mut is_again, true) {
                        connector.survey().await;
                    }
                    link.term().over().await;
                    link.retire();
                };
                either(either(driver, sender.closed()), left_behind).await;
                sender.send_replace(State::Opening);
            }
            Err(error) => {
                failures += 1;
                let source = cause(&error);
                if failures == 1 {
                    tracing::warn!(?role, %error, ?source, "no connection to the credential store");
                } else {
                    tracing::debug!(?role, failures, %error, ?source, "still no connection");
                }
                sender.send_replace(State::Down(Arc::new(error)));
                let pausing = either(sleep(pause(failures)), connector.opened());
                either(pausing, sender.closed()).await;
                // Who comes now may wait for the next try.
                sender.send_replace(State::Opening);
            }
        }
    }
}

/// Anything up to a bound that doubles with each failure.
pub(super) fn pause(failures: u32) -> Duration {
    let most = PAUSE.saturating_mul(1 << failures.min(8).saturating_sub(1)).min(MAX_PAUSE);
    most.mul_f64(rand::rng().random_range(0.25..=1.0))
}
