//! From the signal to stop to the end of the process.

use std::{io, process, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::service_manager;
use crate::health::Health;

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, then for the time in which the server is not ready and still accepts
    /// connections. A second signal ends the process at once.
    pub(super) async fn drained(mut self, health: Health, drain: Duration) {
        self.next().await;
        health.stop();
        service_manager::stopping();
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("a second signal ends the process at once");
            process::exit(1);
        });
        if !drain.is_zero() {
            tracing::info!(?drain, "stopping: not ready; requests are accepted for the drain");
            sleep(drain).await;
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {},
            _ = self.interrupt.recv() => {},
        }
    }
}
