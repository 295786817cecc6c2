//! One question at a time: who asks what is being asked already waits for that answer.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The questions that are under way, by key.
///
/// Each runs as a task of its own, so that no asker who goes away takes it along.
/// All who wait get the same answer, a failure too.
pub(crate) struct Flights<K, T>(Mutex<HashMap<K, watch::Receiver<Option<T>>>>);

/// What came of joining.
#[derive(Debug)]
pub(crate) enum Joined<T> {
    /// The answer was there already.
    Known(T),
    /// The answer is on its way.
    UnderWay(watch::Receiver<Option<T>>),
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the question of this key if it is under way. If not, `known` may
    /// have the answer by now; else it is asked.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: &K,
        known: impl FnOnce() -> Option<T>,
        ask: impl FnOnce() -> F,
    ) -> Joined<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(receiver) = under_way.get(key) {
            return Joined::UnderWay(receiver.clone());
        }
        // Looked at under the lock: an answer is kept before its question is gone.
        if let Some(answer) = known() {
            return Joined::Known(answer);
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        drop(under_way);
        let landing = Landing { flights: Arc::clone(self), key: key.clone() };
        let asking = ask();
        tokio::spawn(async move {
            let answer = asking.await;
            // Before anybody hears of it, so that who asks on hearing it asks anew.
            drop(landing);
            sender.send_replace(Some(answer));
        });
        Joined::UnderWay(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Joined<T> {
    /// The answer; `None` if the task was ended before it had one.
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

/// Takes the question off the list, also when its task panics or is ended.
struct Landing<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K, T> Drop for Landing<K, T>
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
    async fn a_question_whose_task_panics_can_be_asked_again() {
        let flights: Arc<Flights<u8, u8>> = Arc::default();
        let first = flights.join(&1, || None, || async { panic!("on purpose") });
        assert_eq!(first.answer().await, None);
        let second = flights.join(&1, || None, || async { 7 });
        assert_eq!(second.answer().await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_meanwhile_shares_the_answer_even_if_the_first_goes_away() {
        let (flights, asked) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let asked = Arc::clone(&asked);
            flights.join(
                &1,
                || None,
                || async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    asked.fetch_add(1, Ordering::SeqCst)
                },
            )
        };
        drop(ask());
        let (one, two) = (ask(), ask());
        assert_eq!((one.answer().await, two.answer().await), (Some(0), Some(0)));
        assert_eq!(ask().answer().await, Some(1));
    }
}
