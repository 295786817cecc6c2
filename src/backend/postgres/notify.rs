//! Changes in the store, sent and received as notifications of the server.
//!
//! Each write sends a notification in its own transaction. The server therefore delivers it
//! if and only if the write was committed, and in the order of the commits.

use std::{fmt, future::poll_fn, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_postgres::{AsyncMessage, Client, Config, types::Oid};

use crate::backend::{
    BackendError, OpenError,
    contract::{Change, Changes, Notice},
};
use crate::domain::{AccessKey, CredentialId, ProjectId, UserId};

use super::connector::{Connector, Wire};
use super::error::{PostgresError, open_failed};

use super::rows::unescape;
use super::statements;
use super::timeline::SessionTimeline;

/// Maximum length of a payload: PostgreSQL's limit, with some room left.
const MAX_BYTES: usize = 7_900;

/// How long to wait for a change before the server is pinged. Its answer must arrive within
/// [`MAX_FEED_WAIT`](crate::backend::contract::MAX_FEED_WAIT).
const IDLE_TIMEOUT: Duration = Duration::from_millis(150);

const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How many notifications wait for a subscriber. A slower subscriber loses its subscription.
const MAX_PENDING: usize = 4_096;

/// Encodes a changed record. The texts are those of the columns.
pub(super) fn record(id: &str, access_key: Option<&str>) -> String {
    match access_key {
        Some(key) => json!(["r", id, key]).to_string(),
        None => json!(["r", id]).to_string(),
    }
}

pub(super) fn user(id: &str) -> String {
    json!(["u", id]).to_string()
}

pub(super) fn project(id: &str) -> String {
    json!(["p", id]).to_string()
}

pub(super) fn everything() -> String {
    json!(["e"]).to_string()
}

/// Packs encoded changes into as few payloads as possible, in order.
pub(super) fn payloads(changes: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut payloads: Vec<String> = Vec::new();
    for change in changes {
        let change = if change.len() + 2 > MAX_BYTES { everything() } else { change };
        match payloads.last_mut() {
            Some(last) if last.len() + change.len() < MAX_BYTES => {
                last.pop();
                last.push(',');
                last.push_str(&change);
                last.push(']');
            }
            _ => payloads.push(format!("[{change}]")),
        }
    }
    payloads
}

/// Decodes a payload. An unknown change, such as one of a later release, is decoded as
/// [`Change::Everything`].
fn changes(payload: &str) -> Vec<Change> {
    let Ok(encoded) = serde_json::from_str::<Vec<Vec<String>>>(payload) else {
        return vec![Change::Everything];
    };
    encoded.iter().map(|parts| change(parts).unwrap_or(Change::Everything)).collect()
}

fn change(parts: &[String]) -> Option<Change> {
    let text = |n: usize| unescape(parts.get(n)?);
    Some(match (parts.first()?.as_str(), parts.len()) {
        ("r", 2) => Change::deleted(CredentialId::from_stored(text(1)?)),
        ("r", 3) => Change::Record {
            id: CredentialId::from_stored(text(1)?),
            access_key: Some(AccessKey::from_stored(text(2)?)),
        },
        ("u", 2) => Change::User(UserId::from_stored(text(1)?)),
        ("p", 2) => Change::Project(ProjectId::from_stored(text(1)?)),
        _ => return None,
    })
}

/// A subscription to the changes of a store, on a connection of its own.
pub(super) struct Subscription {
    client: Client,
    timeline: SessionTimeline,
    payloads: mpsc::Receiver<String>,
    driver: JoinHandle<()>,
}

impl Subscription {
    pub(super) async fn open(connector: &Connector) -> Result<Self, OpenError> {
        connector.on_some_host(|host| Box::pin(Self::open_on(connector, host))).await
    }

    async fn open_on(connector: &Connector, host: &Config) -> Result<Self, OpenError> {
        let (client, wire) = connector.client_on(host).await?;
        let (sender, payloads) = mpsc::channel(MAX_PENDING);
        let driver = tokio::spawn(receive(wire, sender));
        let timeline = connector.timeline(&client).await?;
        let subscription = Self { client, timeline, payloads, driver };
        let client = &subscription.client;
        connector.set_timeouts(client).await?;
        client.simple_query(statements::TRY_NOTIFY).await.map_err(|error| {
            let source = open_failed(error);
            OpenError::new(source.kind(), "the server does not send notifications")
                .with_source(source)
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
        let mut received = Vec::new();
        match timeout(IDLE_TIMEOUT, self.payloads.recv()).await {
            Ok(Some(payload)) => received.extend(changes(&payload)),
            Ok(None) => return Err(PostgresError::FeedLost.into_backend_error()),
            Err(_) => {}
        }
        // The server sends pending notifications before it answers.
        match timeout(PING_TIMEOUT, self.client.batch_execute(statements::PING)).await {
            Ok(answer) => {
                answer.map_err(|error| PostgresError::from(error).into_backend_error())?;
            }
            Err(_) => return Err(PostgresError::TimedOut.into_backend_error()),
        }
        while let Ok(payload) = self.payloads.try_recv() {
            received.extend(changes(&payload));
        }
        // Writes go to another server now.
        if self.timeline.is_superseded() {
            return Err(PostgresError::FeedLost.into_backend_error());
        }
        Ok(Notice { changes: received, is_complete: true })
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

/// Runs a connection and forwards its notifications. Ends with the connection, or when the
/// subscriber is gone or too slow.
async fn receive(mut wire: Wire, sender: mpsc::Sender<String>) {
    loop {
        match poll_fn(|context| wire.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if sender.try_send(notification.payload().to_owned()).is_err() {
                    return;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "the connection of a change feed was lost");
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_decoded_in_order_and_no_payload_is_too_long() {
        let ids: Vec<_> = (0..1_000).map(|n| format!("{n:064}")).collect();
        let encoded =
            ids.iter().map(|id| record(id, Some("k\"e\\y"))).chain([user("u"), project("p")]);
        let payloads = payloads(encoded);
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        assert!(payloads.len() < 15, "{}", payloads.len());

        let decoded: Vec<_> = payloads.iter().flat_map(|payload| changes(payload)).collect();
        let access_key = Some(AccessKey::from_stored("k\"e\\y"));
        let record = |id: &String| Change::Record {
            id: CredentialId::from_stored(id.clone()),
            access_key: access_key.clone(),
        };
        let mut expected: Vec<_> = ids.iter().map(record).collect();
        expected.push(Change::User(UserId::from_stored("u")));
        expected.push(Change::Project(ProjectId::from_stored("p")));
        assert_eq!(decoded, expected);
    }

    #[test]
    fn overlong_and_unknown_changes_are_decoded_as_everything() {
        let long = payloads([record(&"x".repeat(8_000), None)]);
        for payload in [&*long[0], "", "[[\"later\", \"x\"]]", "[[\"r\"]]", "[[]]"] {
            assert_eq!(changes(payload), [Change::Everything], "{payload}");
        }
    }
}
