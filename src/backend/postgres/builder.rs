//! Opens a backend: the URL and the settings beyond it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::backend::{OpenError, OpenMode};
use crate::tls::{SystemRoots, TlsConfig};

use super::backend::PostgresBackend;
use super::connector::Connector;

const APPLICATION: &str = "tower-credentials";

/// Builds a [`PostgresBackend`].
///
/// Each setter replaces the setting that the default, the URL or an earlier call made.
#[must_use = "a builder does nothing until `build`"]
pub struct PostgresBuilder {
    url: String,
    readers: usize,
    writers: usize,
    statement_timeout: Duration,
    connect_timeout: Duration,
    tls: TlsConfig,
    mode: OpenMode,
}

impl PostgresBackend {
    /// Opens the store in a database; see [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// See [`PostgresBuilder::build`].
    pub async fn open(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::builder(url).build().await
    }

    /// Starts to configure a store in the database of a URL such as
    /// `postgres://user:password@host/database`.
    pub fn builder(url: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder {
            url: url.into(),
            readers: 2,
            writers: 2,
            statement_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            tls: TlsConfig::new(),
            mode: OpenMode::default(),
        }
    }
}

impl PostgresBuilder {
    /// Sets whether the database must have a store.
    ///
    /// Default: [`OpenMode::Create`].
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets how many connections reads share. Each carries many reads at once.
    ///
    /// Default: 2. Minimum: 1.
    pub fn readers(mut self, connections: usize) -> Self {
        self.readers = connections.max(1);
        self
    }

    /// Sets how many connections write, each one batch at a time. Purges have another one.
    ///
    /// PostgreSQL commits transactions with notifications one after the other. More than two
    /// connections therefore make batches smaller and not writes faster.
    ///
    /// Default: 2. Minimum: 1.
    pub fn writers(mut self, connections: usize) -> Self {
        self.writers = connections.max(1);
        self
    }

    /// Sets how long the server may run a statement. Purges and loads may take sixty times as
    /// long.
    ///
    /// Default: 5 seconds. Minimum: a millisecond.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Sets how long a server may take to accept a connection and the login. If the URL names
    /// several servers, the timeout is for each.
    ///
    /// Default: 5 seconds. Minimum: a millisecond.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Sets the certificates for TLS. Root certificates replace those of the URL's
    /// `sslrootcert`, a client certificate that of `sslcert` and `sslkey`.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// Connects and migrates the store to the current schema. Creates the store in an empty
    /// database. Reads the files that the URL names, which blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError`] with the [kind](OpenError::kind)
    ///
    /// - `InvalidSetting` if the URL, or a certificate, is invalid;
    /// - `Unavailable` if no server can be reached and verified, or none accepts writes;
    /// - `PermissionDenied` if the server rejects the login, or the user lacks a privilege;
    /// - `Foreign` if the database has another application's tables, or the wrong encoding;
    /// - `AlreadyExists`, `Newer`, `Corrupt` or `NotFound` for the store itself.
    ///
    /// A database that is not a store is not changed.
    pub async fn build(self) -> Result<PostgresBackend, OpenError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self { url, readers, writers, statement_timeout, connect_timeout, tls, mode } = self;
        let ParsedUrl { hosts, tls: url_tls } = ParsedUrl::parse(&url)?;
        let is_encrypted = hosts.iter().any(|host| host.get_ssl_mode() != SslMode::Disable);
        let roots = if is_encrypted { SystemRoots::Optional } else { SystemRoots::Ignored };
        let tls = tls.or(url_tls).client_config(roots);
        let tls = MakeRustlsConnect::new(tls.map_err(|error| invalid(&error.to_string()))?);
        let connector = Connector::new(hosts, tls, connect_timeout, statement_timeout);
        connector.migrate(mode).await?;
        Ok(PostgresBackend::start(Arc::new(connector), readers, writers))
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("PostgresBuilder")
            .field("readers", &self.readers)
            .field("writers", &self.writers)
            .field("statement_timeout", &self.statement_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("tls", &self.tls)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ParsedUrl {
    /// A configuration for each server. The driver would give all servers of one configuration
    /// a single timeout.
    hosts: Vec<Config>,
    tls: TlsConfig,
}

impl ParsedUrl {
    /// Parses a URL and reads the files that it names.
    fn parse(url: &str) -> Result<Self, OpenError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| invalid("the URL must begin with postgres://"))?;
        // The driver ends the password at the first `@`, wherever it is.
        if rest.matches('@').count() > 1
            || rest.split(['/', '?']).skip(1).any(|it| it.contains('@'))
        {
            return Err(invalid(
                "percent-encode every @, / and ? within the user, password and settings of the URL",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };

        let mut settings = Vec::new();
        let (mut roots, mut certificate, mut key) = (None, None, None);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let file = match setting.split_once('=') {
                // With TLS the server's name is always verified.
                Some(("sslmode", "verify-ca" | "verify-full")) => {
                    settings.push("sslmode=require");
                    continue;
                }
                Some(("sslrootcert", path)) => (&mut roots, path),
                Some(("sslcert", path)) => (&mut certificate, path),
                Some(("sslkey", path)) => (&mut key, path),
                _ => {
                    settings.push(setting);
                    continue;
                }
            };
            let path = percent_decode_str(file.1).decode_utf8();
            let path = path.map_err(|_| invalid("a file name in the URL is not UTF-8"))?;
            *file.0 = Some(path.into_owned());
        }
        let settings = settings.join("&");
        let hosts = hosts.split(',').map(|host| {
            let config =
                Config::from_str(&format!("postgres://{user}{host}/{database}?{settings}"));
            // The driver's error may quote a part of the URL, and so of the password.
            let mut config = config.map_err(|_| invalid("the URL is not valid"))?;
            if config.get_hosts().is_empty() {
                return Err(invalid("the URL names no server"));
            }
            if config.get_application_name().is_none() {
                config.application_name(APPLICATION);
            }
            // Reads must see all earlier writes, so they go to the server that takes writes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            Ok(config)
        });
        let hosts = hosts.collect::<Result<_, _>>()?;

        let unreadable = |error: std::io::Error| invalid(&error.to_string());
        let mut tls = TlsConfig::new();
        if let Some(roots) = roots {
            tls = tls.root_certificates_file(&roots).map_err(unreadable)?;
        }
        match (certificate, key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                tls = tls.client_certificate_files(&certificate, &key).map_err(unreadable)?;
            }
            _ => return Err(invalid("sslcert and sslkey must be given together")),
        }
        Ok(Self { hosts, tls })
    }
}

fn invalid(message: &str) -> OpenError {
    OpenError::invalid_setting(message)
}

#[cfg(test)]
mod tests {
    use crate::backend::OpenErrorKind;

    use super::*;

    #[test]
    fn each_server_of_a_url_has_its_own_configuration_and_must_accept_writes() {
        let url = "postgres://amy:p%40ss@a.example:5433,b.example,[::1]:5434/keys\
            ?sslmode=verify-full&sslrootcert=%2Fdev%2Fnull";
        let parsed = ParsedUrl::parse(url).unwrap();
        let ports: Vec<_> = parsed.hosts.iter().map(|host| host.get_ports().to_vec()).collect();
        assert_eq!(ports, [vec![5433], vec![5432], vec![5434]]);
        for host in &parsed.hosts {
            assert_eq!(host.get_password(), Some(&b"p@ss"[..]));
            assert_eq!(host.get_dbname(), Some("keys"));
            assert_eq!(host.get_ssl_mode(), SslMode::Require);
            assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
        assert!(format!("{:?}", parsed.tls).contains("has_root_certificates: true"));
    }

    #[test]
    fn socket_folder_is_a_server() {
        let parsed = ParsedUrl::parse("postgres:///keys?host=/run/postgresql&user=amy").unwrap();
        assert_eq!(parsed.hosts[0].get_user(), Some("amy"));
    }

    #[test]
    fn invalid_urls_are_rejected_without_quoting_the_password() {
        for url in [
            "mysql://amy:hidden@a/keys",
            "postgres://amy:hidden@a/keys?sslmode=allow",
            "postgres://amy:hid?den@a/keys",
            "postgres://amy:hid/den@a/keys",
            "postgres://amy:hid@den@a/keys",
            "postgres://a/keys?user=amy@hid",
            "postgres://amy:hidden@a:port/keys",
            "postgres:///keys",
            "postgres://amy:hidden@a/keys?sslcert=/c",
            "postgres://amy:hidden@a/keys?sslkey=/k",
            "postgres://amy:hidden@a/keys?sslrootcert=/no/such/file",
            "postgres://amy:hidden@a/keys?sslcert=/no/such/c%20c&sslkey=/no/such/key",
        ] {
            let error = ParsedUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{url}");
            assert!(!format!("{error} {error:?}").contains("hid"), "{url}: {error:?}");
        }
    }
}
