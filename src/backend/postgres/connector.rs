//! How to open a session.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Connection, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Link;
use super::era::{Era, Eras, Term};
use super::error::open_failed;
use super::together::{Boxed, in_order};
use super::{schema, statements};
use crate::backend::{OpenError, OpenErrorKind};

/// The connection under a client: what must run for it to get anywhere.
pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How long a migration may take, with the wait for another server that does the same.
const MIGRATION: Duration = Duration::from_mins(10);

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Read,
    Write,
}

/// Where the servers are, and how to get in.
pub(super) struct Connector {
    hosts: Vec<Config>,
    /// The server that let us in last: the first one to try.
    last: AtomicUsize,
    /// Told when a session is opened: others may try at once.
    opened: Notify,
    eras: Eras,
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
        let (last, opened, eras) = (AtomicUsize::new(0), Notify::new(), Eras::new());
        Self { hosts, last, opened, eras, tls, connect_timeout, statement_timeout }
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// How long it may take until one of the servers has let us in.
    pub(super) fn patience(&self) -> Duration {
        self.connect_timeout * u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    /// Opens a session to a store that is there, with what runs it.
    pub(super) async fn open(&self, role: Role) -> Result<(Link, JoinHandle<()>), OpenError> {
        let opened = self.on_some_host(|host| Box::pin(self.open_on(host, role))).await?;
        self.opened.notify_waiters();
        Ok(opened)
    }

    /// Waits until somebody has opened a session.
    pub(super) async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Opens a bare session and brings the store to the current schema; makes it unless it
    /// must exist.
    pub(super) async fn migrate(&self, existing: bool) -> Result<(), OpenError> {
        self.survey().await;
        let (client, ..) = self.on_some_host(|host| Box::pin(self.enter(host))).await?;
        // Unlike others, this may wait: for another server that does the same.
        let migrating = timeout(MIGRATION, schema::migrate(&client, existing));
        migrating.await.unwrap_or_else(|_| {
            let what = "the server did not bring the store to the current schema in time";
            Err(OpenError::new(OpenErrorKind::Unavailable, what))
        })
    }

    /// Looks at all servers, of which some may have been left behind.
    pub(super) async fn survey(&self) {
        if self.hosts.len() > 1 {
            let look =
                |host| Box::pin(timeout(self.connect_timeout, self.enter(host))) as Boxed<'_, _>;
            in_order(self.hosts.iter().map(look).collect()).await;
        }
    }

    async fn open_on(
        &self,
        host: &Config,
        role: Role,
    ) -> Result<(Link, JoinHandle<()>), OpenError> {
        let (client, term, driver) = self.enter(host).await?;
        self.prepare(&client, role).await?;
        let (tls, limit) = (self.tls.clone(), self.statement_timeout);
        let link = Link::new(client, term, driver.abort_handle(), tls, limit);
        let link = match role {
            Role::Read => link,
            Role::Write => link.for_writing().await.map_err(open_failed)?,
        };
        Ok((link, driver))
    }

    /// Opens a bare session, with what runs it.
    async fn enter(&self, host: &Config) -> Result<(Client, Term, JoinHandle<()>), OpenError> {
        let (client, wire) = self.client_on(host).await?;
        let driver = tokio::spawn(run(wire));
        let term = self.term(&client).await?;
        Ok((client, term, driver))
    }

    /// A bare client and its connection, which the caller runs.
    pub(super) async fn client_on(&self, host: &Config) -> Result<(Client, Wire), OpenError> {
        host.connect(self.tls.clone()).await.map_err(open_failed)
    }

    /// For how long a session is good; refuses a server that was left behind.
    pub(super) async fn term(&self, client: &Client) -> Result<Term, OpenError> {
        let era = Era::of(client).await.map_err(open_failed)?;
        self.eras.begin(era).ok_or_else(|| {
            let what = "no server that can be reached took over last";
            OpenError::new(OpenErrorKind::Unavailable, what)
        })
    }

    async fn prepare(&self, client: &Client, role: Role) -> Result<(), OpenError> {
        self.bound(client).await?;
        for setting in statements::SET_PLANS {
            // Only PostgreSQL itself has these, and not each release has all.
            if let Err(error) = client.batch_execute(setting).await {
                tracing::debug!(%error, setting, "the server plans by itself");
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

    /// Has the server give up in time what it does in this session.
    pub(super) async fn bound(&self, client: &Client) -> Result<(), OpenError> {
        let millis = self.statement_timeout.as_millis();
        let timeout = statements::set_timeout(millis);
        client.batch_execute(&timeout).await.map_err(open_failed)?;
        if let Err(error) = client.batch_execute(&statements::set_lock_timeout(millis)).await {
            tracing::debug!(%error, "the server does not bound the wait for a lock");
        }
        Ok(())
    }

    /// Tries the servers one after the other, each for a limited time.
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
                    let what = "the server did not let us in in time";
                    OpenError::new(OpenErrorKind::Unavailable, what)
                }
            };
            // What a server that answers has to say is told before others' silence.
            let worse = |failed: &OpenError| failed.kind() == OpenErrorKind::Unavailable;
            if failed.as_ref().is_none_or(worse) {
                failed = Some(error);
            }
        }
        Err(failed
            .unwrap_or_else(|| OpenError::new(OpenErrorKind::InvalidSetting, "there is no server")))
    }
}

/// Runs a connection until it is lost.
async fn run(wire: Wire) {
    if let Err(error) = wire.await {
        tracing::debug!(%error, "lost a connection to the credential store");
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the configuration only what holds no password.
        f.debug_struct("Connector")
            .field("hosts", &self.hosts.iter().map(Config::get_hosts).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
