//! Settings of a backend: the URL and what goes beyond it.

use std::{fmt, fs, str::FromStr, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::identity::{self, Identity};
use super::backend::PostgresBackend;
use super::connector::Connector;
use crate::backend::{OpenError, OpenErrorKind};

const APPLICATION: &str = "tower-credentials";

/// Builds a [`PostgresBackend`].
pub struct PostgresBuilder {
    url: String,
    readers: usize,
    writers: usize,
    statement_timeout: Duration,
    connect_timeout: Duration,
    roots: Option<Vec<u8>>,
    identity: Option<Identity>,
    existing: bool,
}

impl PostgresBackend {
    /// Connects to the database of a URL such as `postgres://user:password@host/database`,
    /// and brings the store there to the current schema; an empty database becomes a
    /// store.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose [`kind`](OpenError::kind) tells a server that cannot be
    /// reached from one that refuses the login, and another application's tables from
    /// those of a later release. What is no store of credentials is not touched.
    pub async fn connect(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::builder(url).connect().await
    }

    /// As [`connect`](Self::connect), with further settings.
    pub fn builder(url: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder::new(url.into())
    }
}

impl PostgresBuilder {
    fn new(url: String) -> Self {
        Self {
            url,
            readers: 2,
            writers: 2,
            statement_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            roots: None,
            identity: None,
            existing: false,
        }
    }

    /// Refuses a database that holds no store instead of making one there.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// How many connections reads share; each carries many of them at once.
    ///
    /// Default: 2. At least 1.
    #[must_use]
    pub fn readers(mut self, connections: usize) -> Self {
        self.readers = connections.max(1);
        self
    }

    /// How many connections write, each a batch of writes at a time; purges have one
    /// more. PostgreSQL commits what sends notifications one after the other, so that
    /// more than two mean smaller batches and no more writes.
    ///
    /// Default: 2. At least 1.
    #[must_use]
    pub fn writers(mut self, connections: usize) -> Self {
        self.writers = connections.max(1);
        self
    }

    /// For how long the server runs a statement; purges and loader may take sixty times
    /// as long.
    ///
    /// Default: 5 seconds. At least a millisecond.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// For how long to wait until a server has let us in. Of several servers each is
    /// given this long.
    ///
    /// Default: 5 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Trusts these certificates, as PEM, instead of those of the operating system and
    /// of the URL's `sslrootcert`.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows this certificate, and those that vouch for it, to a server that asks for one;
    /// as PEM, with its key. Instead of the URL's `sslcert` and `sslkey`.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some(Identity::new(certificates, key));
        self
    }

    /// Connects, and brings the store to the current schema; an empty database becomes
    /// a store.
    ///
    /// # Errors
    ///
    /// As [`PostgresBackend::connect`].
    pub async fn connect(self) -> Result<PostgresBackend, OpenError> {
        // Destructured in full so that a new setting cannot be forgotten here.
        let Self {
            url,
            readers,
            writers,
            statement_timeout,
            connect_timeout,
            roots,
            identity,
            existing,
        } = self;
        let ParsedUrl { hosts, roots: named, identity: files } = ParsedUrl::of(&url)?;
        let encrypted = hosts.iter().any(|host| host.get_ssl_mode() != SslMode::Disable);
        let roots = match (roots, named) {
            (Some(pem), _) => Some(pem),
            (None, Some(path)) => Some(fs::read(&path).map_err(|error| {
                let what = format!("cannot read the certificates of {path}");
                OpenError::new(OpenErrorKind::InvalidSetting, what).with_source(error)
            })?),
            (None, None) => None,
        };
        let identity = match (identity, files) {
            (None, Some((certificate, key))) => {
                Some(Identity::from_files(&certificate, &key).map_err(|what| invalid(&what))?)
            }
            (identity, _) => identity,
        };
        let tls = MakeRustlsConnect::new(tls(encrypted, roots.as_deref(), identity.as_ref())?);
        let connector = Connector::new(hosts, tls, connect_timeout, statement_timeout);
        connector.migrate(existing).await?;
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
            .finish_non_exhaustive()
    }
}

/// What a URL says.
struct ParsedUrl {
    /// A configuration for each server, so that one that hangs does not keep us from
    /// the next.
    hosts: Vec<Config>,
    /// The file of trusted certificates.
    roots: Option<String>,
    /// The files of a certificate to show, and of its key.
    identity: Option<(String, String)>,
}

impl ParsedUrl {
    fn of(url: &str) -> Result<Self, OpenError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| invalid("the URL does not begin with postgres://"))?;
        // The driver ends the password at the first one, wherever it stands.
        if rest.matches('@').count() > 1
            || rest.split(['/', '?']).skip(1).any(|it| it.contains('@'))
        {
            return Err(invalid("an @, / or ? within a user, password or setting must be encoded"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };

        let (mut settings, mut files) = (Vec::new(), [None, None, None]);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                // Whenever there is TLS, the server's name is verified.
                Some(("sslmode", "verify-ca" | "verify-full")) => {
                    settings.push("sslmode=require".to_owned());
                }
                Some((name @ ("sslrootcert" | "sslcert" | "sslkey"), path)) => {
                    let path = percent_decode_str(path).decode_utf8();
                    let path = path.map_err(|_| invalid(&format!("{name} is not valid")))?;
                    let place = match name {
                        "sslrootcert" => 0,
                        "sslcert" => 1,
                        _ => 2,
                    };
                    files[place] = Some(path.into_owned());
                }
                _ => settings.push(setting.to_owned()),
            }
        }
        let settings = settings.join("&");
        let hosts = hosts.split(',').map(|host| {
            let config =
                Config::from_str(&format!("postgres://{user}{host}/{database}?{settings}"));
            // The driver's error may quote a part of the URL, and so of a password.
            let mut config = config.map_err(|_| invalid("the URL is not valid"))?;
            if config.get_hosts().is_empty() {
                return Err(invalid("the URL names no server"));
            }
            if config.get_application_name().is_none() {
                config.application_name(APPLICATION);
            }
            // Reads see the writes before them, so they need a server that takes writes.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            Ok(config)
        });
        let [roots, certificate, key] = files;
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(invalid("of sslcert and sslkey the URL has only one")),
        };
        Ok(Self { hosts: hosts.collect::<Result<_, _>>()?, roots, identity })
    }
}

fn invalid(what: &str) -> OpenError {
    OpenError::new(OpenErrorKind::InvalidSetting, what)
}

/// Verifies the server with these certificates, or with those of the operating system.
fn tls(
    encrypted: bool,
    pem: Option<&[u8]>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, OpenError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("there is no TLS").with_source(error))?;
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let refused = || invalid("the trusted certificates are not valid");
            let certificate = certificate.map_err(|_| refused())?;
            roots.add(certificate).map_err(|_| refused())?;
        }
        if roots.is_empty() {
            return Err(invalid("there is no certificate among the trusted ones"));
        }
    } else if encrypted {
        // With none of them a server with TLS cannot be verified, and is refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    identity::showing(identity, config.with_root_certificates(roots)).map_err(|what| invalid(&what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_of_a_url_is_tried_by_itself_and_must_take_writes() {
        let url = "postgres://amy:p%40ss@a.example:5433,b.example,[::1]:5434/keys\
            ?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&sslkey=/k%20k&sslcert=/c";
        let address = ParsedUrl::of(url).unwrap();
        let ports: Vec<_> = address.hosts.iter().map(|host| host.get_ports().to_vec()).collect();
        assert_eq!(ports, [vec![5433], vec![5432], vec![5434]]);
        for host in &address.hosts {
            assert_eq!(host.get_password(), Some(&b"p@ss"[..]));
            assert_eq!(host.get_dbname(), Some("keys"));
            assert_eq!(host.get_ssl_mode(), SslMode::Require);
            assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
        assert_eq!(address.roots.as_deref(), Some("/etc/ca.pem"));
        assert_eq!(address.identity, Some(("/c".into(), "/k k".into())));
    }

    #[test]
    fn a_socket_in_a_folder_is_a_server() {
        let address = ParsedUrl::of("postgres:///keys?host=/run/postgresql&user=amy").unwrap();
        assert_eq!(address.hosts[0].get_user(), Some("amy"));
    }

    #[test]
    fn a_url_that_is_not_valid_is_refused_without_its_password() {
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
        ] {
            let Err(error) = ParsedUrl::of(url) else { panic!("{url} was taken") };
            assert_eq!(error.kind(), OpenErrorKind::InvalidSetting, "{url}");
            assert!(!format!("{error} {error:?}").contains("hid"), "{url}: {error:?}");
        }
    }
}
