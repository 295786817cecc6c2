//! Shares concurrent requests for the same key.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The requests that are under way, by key.
///
/// Each request runs as a task, so that it completes even if the caller that started it is gone.
/// All waiting callers get the same answer, errors included.
pub(crate) struct Flights<K, T>(Mutex<HashMap<K, watch::Receiver<Option<T>>>>);

/// The result of joining a request.
#[derive(Debug)]
pub(crate) enum Joined<T> {
    /// The answer is known already.
    Known(T),
    /// The request is under way.
    UnderWay(watch::Receiver<Option<T>>),
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the request for this key if one is under way. Otherwise returns the answer of
    /// `known`, or starts the request if `known` returns `None`.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &K,
        known: impl FnOnce() -> Option<T>,
        request: impl FnOnce() -> F,
    ) -> Joined<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(receiver) = under_way.get(key) {
            return Joined::UnderWay(receiver.clone());
        }
        // Checked under the lock: an answer is stored before its request is removed.
        if let Some(answer) = known() {
            return Joined::Known(answer);
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        drop(under_way);
        let removal = Removal { flights: Arc::clone(self), key: key.clone() };
        let request = request();
        tokio::spawn(async move {
            let answer = request.await;
            // Removed before the answer is published, so that a caller that reacts to it with another
            // request does not join this one.
            drop(removal);
            sender.send_replace(Some(answer));
        });
        Joined::UnderWay(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Joined<T> {
    /// Waits for the answer; `None` if the task was aborted or panicked.
    pub(crate) async fn answer(self) -> Option<T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::UnderWay(mut receiver) => receiver.wait_for(Option::is_some).await.ok()?.clone(),
        }
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights(..)")
    }
}

/// Removes a request when dropped, also when its task panics or is aborted.
struct Removal<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K, T> Drop for Removal<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn request_that_panicked_can_be_repeated() {
        let flights: Arc<Flights<u8, u8>> = Arc::default();
        let first = flights.join(&1, || None, || async { panic!("on purpose") });
        assert_eq!(first.answer().await, None);
        let second = flights.join(&1, || None, || async { 7 });
        assert_eq!(second.answer().await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_the_answer_even_if_the_first_is_gone() {
        let (flights, count) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let request = || {
            let count = Arc::clone(&count);
            flights.join(
                &1,
                || None,
                || async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    count.fetch_add(1, Ordering::SeqCst)
                },
            )
        };
        drop(request());
        let (one, two) = (request(), request());
        assert_eq!((one.answer().await, two.answer().await), (Some(0), Some(0)));
        assert_eq!(request().answer().await, Some(1));
    }
}
