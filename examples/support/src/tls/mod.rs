//! The certificate of a server, reloaded on SIGHUP and when its files change.

mod pair;
mod stamp;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::ServerConfig;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::TlsAcceptor;
use tower_credentials::secret_files::SecretFiles;
use x509_cert::time::Validity;

use self::{
    pair::{Pair, PairError},
    stamp::Stamp,
};
use crate::health::Status;
#[cfg(feature = "metrics")]
use crate::metrics::set_certificate_expiry;

/// How often the files are examined.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long before its end a certificate should be renewed.
const SOON: Duration = Duration::from_hours(14 * 24);

/// A certificate with its key, as they were loaded last.
pub(crate) struct Certificate {
    files: Files,
    current: RwLock<Current>,
    /// The files before they were loaded for the first time.
    first: Stamp,
}

/// The certificate that new connections get.
#[derive(Clone)]
struct Current {
    config: Arc<ServerConfig>,
    validity: Validity,
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
    reader: SecretFiles,
}

/// What is known about the files.
struct Watched {
    /// The files as they were when they were loaded last.
    stamp: Stamp,
    /// Why they could not be used, if so.
    failure: Option<PairError>,
    is_logged: bool,
}

impl Certificate {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    ///
    /// The message names the file that cannot be used, and why.
    pub(crate) fn load(cert: &Path, key: &Path, reader: SecretFiles) -> Result<Self, String> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned(), reader };
        let first = Stamp::of(&files.cert, &files.key);
        let Pair { config, serial, validity } = files.load().map_err(|error| error.to_string())?;
        let not_after = validity.not_after.to_date_time();
        tracing::info!(%serial, %not_after, "loaded the TLS certificate");
        #[cfg(feature = "metrics")]
        set_certificate_expiry(not_after.unix_duration().as_secs_f64());
        Ok(Self { files, current: RwLock::new(Current { config, validity }), first })
    }

    /// Accepts a connection with the current certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config)
    }

    /// Returns whether the certificate is valid at this time, and for long enough.
    pub(crate) fn health(&self, now: SystemTime) -> Status {
        let Validity { not_before, not_after } = self.current().validity;
        let (start, end) = (not_before.to_date_time(), not_after.to_date_time());
        if now < not_before.to_system_time() {
            return Status::Failed(format!("not valid before {start}"));
        }
        match not_after.to_system_time().duration_since(now) {
            Err(_) => Status::Failed(format!("expired at {end}")),
            Ok(left) if left < SOON => Status::Degraded(format!("expires at {end}")),
            Ok(_) => Status::Ok,
        }
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reloads the files on every SIGHUP, and when they have changed. If they cannot be used, the
    /// old certificate stays in use.
    pub(crate) fn follow(self: &Arc<Self>) -> io::Result<()> {
        let hangups = signal(SignalKind::hangup())?;
        tokio::spawn(Arc::clone(self).reload(hangups));
        Ok(())
    }

    async fn reload(self: Arc<Self>, mut hangups: Signal) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Watched { stamp: self.first.clone(), failure: None, is_logged: false };
        loop {
            let is_asked = tokio::select! {
                hangup = hangups.recv() => match hangup {
                    Some(()) => true,
                    None => return,
                },
                _ = ticks.tick() => false,
            };
            let this = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || {
                this.look(&mut watched, is_asked);
                watched
            });
            watched = match look.await {
                Ok(watched) => watched,
                Err(error) => return tracing::error!(%error, "TLS certificates are not reloaded"),
            };
        }
    }

    /// Loads the files if that was asked for, or if the result may differ from the last one.
    ///
    /// A failure is logged when the files have not changed for an interval: until then, they may be
    /// half written.
    fn look(&self, watched: &mut Watched, is_asked: bool) {
        let stamp = Stamp::of(&self.files.cert, &self.files.key);
        let has_changed = stamp != watched.stamp;
        let may_succeed_later =
            watched.failure.as_ref().is_some_and(|failure| failure.may_succeed_later);
        if is_asked || has_changed {
            watched.is_logged = false;
        }
        if is_asked || has_changed || may_succeed_later {
            watched.stamp = stamp;
            watched.failure = self.files.reload().map(|pair| self.replace(pair)).err();
        }
        if let Some(error) = &watched.failure
            && !watched.is_logged
            && (is_asked || !has_changed)
        {
            tracing::error!(%error, "cannot reload the TLS certificate, keeping the old one");
            watched.is_logged = true;
        }
    }

    fn replace(&self, Pair { config, serial, validity }: Pair) {
        let not_after = validity.not_after.to_date_time();
        let current = Current { config, validity };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        tracing::info!(%serial, %not_after, "reloaded the TLS certificate");
        #[cfg(feature = "metrics")]
        set_certificate_expiry(not_after.unix_duration().as_secs_f64());
    }
}

impl Files {
    fn load(&self) -> Result<Pair, PairError> {
        Pair::load(&self.cert, &self.key, self.reader)
    }

    /// As `load`, but rejects pipes: to read one again would block.
    fn reload(&self) -> Result<Pair, PairError> {
        for path in [&self.cert, &self.key] {
            if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                return Err(PairError::new(format!("{} is not a regular file", path.display())));
            }
        }
        self.load()
    }
}
