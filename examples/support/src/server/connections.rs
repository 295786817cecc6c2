//! The places for connections. A new connection takes the place of an idle one if all are taken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::requests::Requests;

/// How long a connection must be idle to lose its place: the response before may still be in the
/// buffers of the connection.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// How long to wait for a place before another connection is closed.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a server.
pub(super) struct Connections {
    places: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Requests>,
}

/// The place of a connection. Dropping it frees the place.
pub(super) struct Place {
    pub(super) requests: Requests,
    number: u64,
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), open: Mutex::default() })
    }

    /// Waits for a place. Closes the connections that have been idle for the longest time until
    /// one is free.
    pub(super) async fn place(self: &Arc<Self>) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                return self.take(permit);
            }
            self.close_idle();
            let acquired = timeout(PAUSE, Arc::clone(&self.places).acquire_owned()).await;
            if let Ok(Ok(permit)) = acquired {
                return self.take(permit);
            }
        }
    }

    /// Closes the connection that has been idle for the longest time.
    pub(super) fn close_idle(&self) {
        let open = self.open();
        let idle = open.connections.values().filter_map(|requests| {
            Some((requests.idle_time().filter(|time| *time >= MIN_IDLE)?, requests))
        });
        if let Some((_, requests)) = idle.max_by_key(|(time, _)| *time) {
            requests.evict();
        }
    }

    fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let mut open = self.open();
        let (number, requests) = (open.next, Requests::new());
        open.next += 1;
        open.connections.insert(number, requests.clone());
        Place { requests, number, connections: Arc::clone(self), _permit: permit }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().connections.remove(&self.number);
    }
}
