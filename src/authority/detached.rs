//! [`detached`]: a future that continues if its caller is dropped.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use tracing::Instrument as _;

/// The future ended without a result.
#[derive(Debug)]
pub(super) struct NoResult {
    /// If false, the runtime is shutting down.
    pub(super) panicked: bool,
}

/// Runs a future to its end, even if the caller is dropped.
///
/// It begins in the task of the caller, and continues in one of its own if it has to wait: a task
/// costs more than a write to memory.
pub(super) async fn detached<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, NoResult> {
    let mut future = Box::pin(future.in_current_span());
    let begun = poll_fn(|context| {
        Poll::Ready(catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))))
    });
    match begun.await {
        Ok(Poll::Ready(result)) => Ok(result),
        Ok(Poll::Pending) => {
            let ended = tokio::spawn(future).await;
            // Without the error itself, which repeats the message of a panic.
            ended.map_err(|error| NoResult { panicked: error.is_panic() })
        }
        Err(_) => Err(NoResult { panicked: true }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn future_that_need_not_wait_ends_in_the_task_of_its_caller() {
        let ended = tokio::spawn(async {
            (tokio::task::id(), detached(async { tokio::task::id() }).await.unwrap())
        });
        let (caller, inner) = ended.await.unwrap();
        assert_eq!(inner, caller);
    }

    #[tokio::test]
    async fn future_that_waits_continues_without_its_caller() {
        let (go, gone) = oneshot::channel::<()>();
        let (ended, end) = oneshot::channel();
        let mut caller = tokio_test::task::spawn(detached(async move {
            gone.await.unwrap();
            ended.send(()).unwrap();
        }));
        assert!(caller.poll().is_pending());
        drop(caller);
        go.send(()).unwrap();
        end.await.unwrap();
    }

    #[tokio::test]
    async fn panic_has_no_result_before_and_after_it_waits() {
        let at_once = async { panic!("at once") };
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert!(detached::<()>(at_once).await.unwrap_err().panicked);
        assert!(detached::<()>(later).await.unwrap_err().panicked);
    }
}
