//! Connections on which nothing is asked.

use std::{sync::Arc, time::Duration};

use http::Response;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::{sync::watch, time::timeout};

/// How many requests run on a connection. A clone counts the same ones.
#[derive(Clone, Default)]
pub struct Requests(Arc<watch::Sender<usize>>);

/// One of them, which runs until this is dropped.
pub struct Running(Requests);

impl Requests {
    pub fn begin(&self) -> Running {
        self.0.send_modify(|running| *running += 1);
        Running(self.clone())
    }

    /// Waits until none has run for this long; before the first, too.
    pub async fn none_for(&self, time: Duration) {
        let mut requests = self.0.subscribe();
        loop {
            let _ = requests.wait_for(|running| *running == 0).await;
            if timeout(time, requests.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Running {
    /// Has the request run until its answer's body is sent.
    pub fn until_sent<B: Body>(
        self,
        answer: Response<B>,
    ) -> Response<impl Body<Data = B::Data, Error = B::Error>> {
        // What the closure holds is dropped with the body.
        answer.map(|body| {
            body.map_err(move |error| {
                let _ = &self;
                error
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}
