//! Opens sessions.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Connection, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::backend::{OpenError, OpenErrorKind, OpenMode};

use super::error::open_failed;
use super::session::{Boxed, Session, join_in_order};
use super::timeline::{LatestTimeline, SessionTimeline, Timeline};
use super::{schema, statements};

/// The connection of a client, which must be polled for the client to make progress.
pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How long a migration may take, including the wait for another server that migrates.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Read,
    Write,
}

/// The servers and how to log in.
pub(super) struct Connector {
    hosts: Vec<Config>,
    /// The server that accepted the last session, which is tried first.
    last: AtomicUsize,
    /// Notified when a session is opened, so that others retry at once.
    opened: Notify,
    latest_timeline: LatestTimeline,
    tls: MakeRustlsConnect,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        mut hosts: Vec<Config>,
        tls: MakeRustlsConnect,
        connect_timeout: Duration,
        statement_timeout: Duration,
    ) -> Self {
        for host in &mut hosts {
            host.connect_timeout(connect_timeout);
        }
        Self {
            hosts,
            last: AtomicUsize::new(0),
            opened: Notify::new(),
            latest_timeline: LatestTimeline::new(),
            tls,
            connect_timeout,
            statement_timeout,
        }
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// How long it may take until one of the servers has accepted a session.
    pub(super) fn open_timeout(&self) -> Duration {
        self.connect_timeout * u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// Opens a session to an existing store. Returns it with the task that runs it.
    pub(super) async fn open(&self, role: Role) -> Result<(Session, JoinHandle<()>), OpenError> {
        let opened = self.on_some_host(|host| Box::pin(self.open_on(host, role))).await?;
        self.opened.notify_waiters();
        Ok(opened)
    }

    /// Waits until a session is opened anywhere in this process.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Migrates the store to the current schema; see [`schema::migrate`].
    pub(super) async fn migrate(&self, mode: OpenMode) -> Result<(), OpenError> {
        self.observe_all_hosts().await;
        let (client, ..) = self.on_some_host(|host| Box::pin(self.log_in(host))).await?;
        // Without the session's timeouts: this may wait for another server that migrates.
        let migration = timeout(MIGRATION_TIMEOUT, schema::migrate(&client, mode));
        migration.await.unwrap_or_else(|_| {
            let what = "the server did not migrate the store in time";
            Err(OpenError::new(OpenErrorKind::Unavailable, what))
        })
    }

    /// Contacts all servers to find out which timeline is the latest.
    pub(super) async fn observe_all_hosts(&self) {
        if self.hosts.len() > 1 {
            let observe =
                |host| Box::pin(timeout(self.connect_timeout, self.log_in(host))) as Boxed<'_, _>;
            join_in_order(self.hosts.iter().map(observe).collect()).await;
        }
    }

    async fn open_on(
        &self,
        host: &Config,
        role: Role,
    ) -> Result<(Session, JoinHandle<()>), OpenError> {
        let (client, timeline, driver) = self.log_in(host).await?;
        self.prepare(&client, role).await?;
        let (tls, limit) = (self.tls.clone(), self.statement_timeout);
        let session = Session::new(client, timeline, driver.abort_handle(), tls, limit);
        let session = match role {
            Role::Read => session,
            Role::Write => session.for_writing().await.map_err(open_failed)?,
        };
        Ok((session, driver))
    }

    /// Opens a connection without any settings. Returns it with the task that runs it.
    async fn log_in(
        &self,
        host: &Config,
    ) -> Result<(Client, SessionTimeline, JoinHandle<()>), OpenError> {
        let (client, wire) = self.client_on(host).await?;
        let driver = tokio::spawn(run(wire));
        let timeline = self.timeline(&client).await?;
        Ok((client, timeline, driver))
    }

    /// Opens a connection that the caller runs.
    pub(super) async fn client_on(&self, host: &Config) -> Result<(Client, Wire), OpenError> {
        host.connect(self.tls.clone()).await.map_err(open_failed)
    }

    /// Returns the timeline of a new session; rejects a server that was left behind by a
    /// failover.
    pub(super) async fn timeline(&self, client: &Client) -> Result<SessionTimeline, OpenError> {
        let timeline = Timeline::of(client).await.map_err(open_failed)?;
        self.latest_timeline.observe(timeline).ok_or_else(|| {
            let what = "the server is an old primary; the promoted server cannot be reached";
            OpenError::new(OpenErrorKind::Unavailable, what)
        })
    }

    async fn prepare(&self, client: &Client, role: Role) -> Result<(), OpenError> {
        self.set_timeouts(client).await?;
        for setting in statements::SET_PLANS {
            // Only PostgreSQL has these, and not every release has all of them.
            if let Err(error) = client.batch_execute(setting).await {
                tracing::debug!(%error, setting, "the server does not support a planner setting");
            }
        }
        if role == Role::Write {
            let shown = client.query_one(statements::SHOW_COMMIT, &[]).await;
            if shown.is_ok_and(|row| row.try_get(0).is_ok_and(|value: &str| value == "off")) {
                client.batch_execute(statements::SET_COMMIT).await.map_err(open_failed)?;
            }
        }
        schema::check(client).await
    }

    /// Sets the server's own timeouts for a session.
    pub(super) async fn set_timeouts(&self, client: &Client) -> Result<(), OpenError> {
        let millis = self.statement_timeout.as_millis();
        let timeout = statements::set_timeout(millis);
        client.batch_execute(&timeout).await.map_err(open_failed)?;
        if let Err(error) = client.batch_execute(&statements::set_lock_timeout(millis)).await {
            tracing::debug!(%error, "the server has no lock timeout");
        }
        Ok(())
    }

    /// Tries the servers one after the other, each with the connect timeout.
    pub(super) async fn on_some_host<'a, T>(
        &'a self,
        work: impl Fn(&'a Config) -> Boxed<'a, Result<T, OpenError>>,
    ) -> Result<T, OpenError> {
        let (count, last) = (self.hosts.len(), self.last.load(Ordering::Relaxed));
        let mut failed = None;
        for index in (0..count).map(|n| (last + n) % count) {
            let result = timeout(self.connect_timeout, work(&self.hosts[index])).await;
            let error = match result {
                Ok(Ok(value)) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(value);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    let what = "the server did not complete the login in time";
                    OpenError::new(OpenErrorKind::Unavailable, what)
                }
            };
            // The error of a server that answers says more than that of an unreachable one.
            let says_less = |failed: &OpenError| failed.kind() == OpenErrorKind::Unavailable;
            if failed.as_ref().is_none_or(says_less) {
                failed = Some(error);
            }
        }
        Err(failed.unwrap_or_else(|| {
            OpenError::new(OpenErrorKind::InvalidSetting, "the URL names no server")
        }))
    }
}

/// Runs a connection until it is lost.
async fn run(wire: Wire) {
    if let Err(error) = wire.await {
        tracing::debug!(%error, "a connection to the credential store was lost");
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the parts of the configuration that hold no password.
        f.debug_struct("Connector")
            .field("hosts", &self.hosts.iter().map(Config::get_hosts).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
