//! One check: its timeout, and its result, which is remembered for a second.

use std::{future::Future, mem::discriminant, pin::Pin, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::Status;

/// How long a check may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long a result is remembered, so that clients cannot load what is checked.
const REMEMBERED: Duration = Duration::from_secs(1);

type Running = Pin<Box<dyn Future<Output = Status> + Send>>;

pub(super) struct Check {
    name: &'static str,
    run: Box<dyn Fn() -> Running + Send + Sync>,
    /// The last result, and its time. Clients that ask at the same time wait for one result.
    last: Mutex<Option<(Instant, Status)>>,
}

impl Check {
    pub(super) fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Status> + Send + 'static,
    {
        Self { name, run: Box::new(move || Box::pin(run())), last: Mutex::default() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) async fn status(&self) -> Status {
        let mut last = self.last.lock().await;
        if let Some((time, status)) = &*last
            && time.elapsed() < REMEMBERED
        {
            return status.clone();
        }
        let status = timeout(TIMEOUT, (self.run)()).await.unwrap_or_else(|_| {
            Status::Failed(format!("no result within {} seconds", TIMEOUT.as_secs()))
        });
        self.log(last.as_ref().map_or(&Status::Ok, |(_, status)| status), &status);
        *last = Some((Instant::now(), status.clone()));
        status
    }

    /// Logs a change of the kind of result.
    fn log(&self, before: &Status, now: &Status) {
        if discriminant(before) == discriminant(now) {
            return;
        }
        let check = self.name;
        match now {
            Status::Ok => tracing::info!(check, "readiness: ok"),
            Status::Degraded(reason) => tracing::warn!(check, reason, "readiness: degraded"),
            Status::Failed(reason) => tracing::warn!(check, reason, "readiness: failed"),
        }
    }
}
