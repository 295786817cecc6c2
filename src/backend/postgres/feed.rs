//! What changes in the store, as the server passes it on.
//!
//! Each write sends a notification in its own transaction, so that it is passed on if
//! and only if the write is there, and in the order of the commits.

use std::{fmt, future::poll_fn, time::Duration};

use async_trait::async_trait;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_postgres::{AsyncMessage, Client, Config, types::Oid};

use super::PostgresBackend;
use super::connector::{Connector, Wire};
use super::era::Term;
use super::error::open_failed;
use super::trouble::Trouble;
use super::{statements, told};
use crate::backend::OpenError;
use crate::backend::{BackendError, ChangeFeed, Changes, Notice};

/// How long to wait for a change before the server is asked whether it is there, so
/// that its answer comes within a pulse.
const QUIET: Duration = Duration::from_millis(150);

/// How long the server may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How many notifications wait for a subscriber; one who is further behind has to start
/// anew.
const WAITING: usize = 4_096;

/// Told by PostgreSQL's notifications, also of other processes' writes, within
/// milliseconds. A subscription has a connection of its own, to the server that takes
/// the writes. Engines without notifications have no feed.
#[async_trait]
impl ChangeFeed for PostgresBackend {
    async fn subscribe(&self) -> Result<Box<dyn Changes>, BackendError> {
        let connector = &self.0.connector;
        let opening = connector.on_some_host(|host| Box::pin(Subscription::open(connector, host)));
        match opening.await {
            Ok(subscription) => Ok(Box::new(subscription)),
            Err(error) => Err(BackendError::Unavailable(Box::new(error))),
        }
    }
}

struct Subscription {
    client: Client,
    term: Term,
    heard: mpsc::Receiver<String>,
    driver: JoinHandle<()>,
}

impl Subscription {
    async fn open(connector: &Connector, host: &Config) -> Result<Self, OpenError> {
        let (client, wire) = connector.client_on(host).await?;
        let (sender, heard) = mpsc::channel(WAITING);
        let driver = tokio::spawn(listen(wire, sender));
        let term = connector.term(&client).await?;
        let subscription = Self { client, term, heard, driver };
        let client = &subscription.client;
        connector.bound(client).await?;
        client.simple_query(statements::TRY_TELLING).await.map_err(|error| {
            let deaf = open_failed(error);
            OpenError::new(deaf.kind(), "the server tells no changes").with_source(deaf)
        })?;
        let row = client.query_one(statements::STORE_NUMBER, &[]).await;
        let number: Oid = row.and_then(|row| row.try_get(0)).map_err(open_failed)?;
        client.batch_execute(&statements::listen(number)).await.map_err(open_failed)?;
        Ok(subscription)
    }
}

#[async_trait]
impl Changes for Subscription {
    async fn next(&mut self) -> Result<Notice, BackendError> {
        let mut changes = Vec::new();
        match timeout(QUIET, self.heard.recv()).await {
            Ok(Some(payload)) => changes.extend(told::changes(&payload)),
            Ok(None) => return Err(Trouble::Unheard.into_backend_error()),
            Err(_) => {}
        }
        // The server sends what it has to tell before it answers.
        match timeout(PING_TIMEOUT, self.client.batch_execute(statements::PING)).await {
            Ok(answer) => answer.map_err(|error| Trouble::from(error).into_backend_error())?,
            Err(_) => return Err(Trouble::TimedOut.into_backend_error()),
        }
        while let Ok(payload) = self.heard.try_recv() {
            changes.extend(told::changes(&payload));
        }
        // Another server takes the writes.
        if self.term.is_over() {
            return Err(Trouble::Unheard.into_backend_error());
        }
        Ok(Notice { changes, is_complete: true })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Runs a connection, and hands on what is told on it. Ends when the connection does,
/// or when nobody listens, or too slowly.
async fn listen(mut wire: Wire, sender: mpsc::Sender<String>) {
    loop {
        match poll_fn(|context| wire.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(told))) => {
                if sender.try_send(told.payload().to_owned()).is_err() {
                    return;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "lost the feed of changes");
                return;
            }
            None => return,
        }
    }
}
