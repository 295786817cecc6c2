//! The places for connections. A new connection takes the place of an idle one if all are taken.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::requests::Requests;

/// How long a connection must be idle after a request to lose its place: the response may still be
/// in the buffers of the connection.
const AFTER_REQUEST: Duration = Duration::from_secs(1);

/// How long a new connection has at least for its first request.
const BEFORE_REQUEST: Duration = Duration::from_millis(100);

/// How long to wait for a place before other connections are closed.
const PAUSE: Duration = Duration::from_millis(20);

/// The share of the places that are freed at once, because a search examines every connection.
const SHARE: usize = 64;

/// The connections of a server.
pub(super) struct Connections {
    places: Arc<Semaphore>,
    /// How many connections are closed at once.
    batch: usize,
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
        let batch = (places / SHARE).max(1);
        let places = Arc::new(Semaphore::new(places));
        Arc::new(Self { places, batch, open: Mutex::default() })
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

    /// Closes the connections that have been idle for the longest time.
    pub(super) fn close_idle(&self) {
        let open = self.open();
        let idle = open.connections.values().filter_map(|requests| {
            let least = if requests.had_any() { AFTER_REQUEST } else { BEFORE_REQUEST };
            Some((requests.idle_time().filter(|time| *time >= least)?, requests))
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable_by_key(|(time, _)| Reverse(*time));
        for (_, requests) in idle.into_iter().take(self.batch) {
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
