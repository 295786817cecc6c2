//! The command line.

use std::{error::Error, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use example_support::{
    audit_options::AuditOptions, aws_options::AwsOptions, backend::StoreOptions,
    guesser_options::GuesserOptions, key_options::KeyOptions, server::ServerOptions,
};
use http::Uri;
use tower_credentials::{
    backend::{OpenError, resolve_url},
    keystone::{KeystoneClient, ServiceLogin},
    policy::{DelegatedCallers, RolePolicy},
    secret_files::SecretFiles,
    tls::TlsConfig,
};

/// Answers Keystone's credential requests from its own store, and forwards all other requests to
/// Keystone.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:5001")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub server: ServerOptions,
    /// The URL of Keystone, with or without `/v3`.
    ///
    /// The front serves the same paths.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    pub keystone: Uri,
    /// PEM file of the certificate authorities to trust for Keystone [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub keystone_ca: Option<PathBuf>,
    /// The store of credentials: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT` [default: sqlite:keystone-front.db].
    ///
    /// Other users can see a password in an argument. `env:NAME` takes the URL from an environment
    /// variable, and `@PATH` from the first line of a file that only its owner can read.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    #[command(flatten)]
    pub store: StoreOptions,
    #[command(flatten)]
    pub key: KeyOptions,
    #[command(flatten)]
    pub aws: AwsOptions,
    #[command(flatten)]
    pub audit: AuditOptions,
    #[command(flatten)]
    pub guesser: GuesserOptions,
    /// The name of the service user, with which the front looks up tokens, users and projects in
    /// Keystone.
    #[arg(long, value_name = "NAME")]
    service_user: String,
    /// File with the service user's password. A final line break is ignored.
    #[arg(long, value_name = "FILE")]
    service_password_file: PathBuf,
    /// The project that the service user logs in to.
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "service_system",
        conflicts_with = "service_system"
    )]
    service_project: Option<String>,
    /// Log the service user in to the system instead of a project. The role reader is enough there
    /// without `--mirror` and `--import`.
    #[arg(long, conflicts_with = "service_project_domain")]
    service_system: bool,
    /// The name of the service user's domain.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    service_user_domain: String,
    /// The name of the domain of the service user's project.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    service_project_domain: String,
    /// The maximum number of credentials per user [default: unlimited].
    #[arg(long, value_name = "N")]
    pub max_keys_per_user: Option<u32>,
    /// Also write changes of key pairs to Keystone (the service user needs the role admin).
    ///
    /// The front forwards `POST /v3/ec2tokens` to Keystone, which only knows the front's keys with
    /// this option. Credentials of other types, such as `totp`, are always written to Keystone.
    /// Root keys are never written there. New key pairs whose limits Keystone cannot store are
    /// rejected: those with an expiry, so that `--max-key-life` cannot be set, or with a boundary.
    #[arg(long, conflicts_with = "max_key_life")]
    pub mirror: bool,
    /// Import Keystone's credentials, and exit (the service user needs the role admin).
    ///
    /// A later import adds what is new or has changed in Keystone, but nothing that was deleted or
    /// changed in the store since.
    #[arg(long, conflicts_with_all = ["mirror", "listen", "base_url"])]
    #[cfg_attr(feature = "tls", arg(conflicts_with = "tls_cert"))]
    #[cfg_attr(feature = "metrics", arg(conflicts_with = "metrics_listen"))]
    pub import: bool,
    /// The file that records what was imported; the same one for every import into this store
    /// [default: beside the store, if that is a file].
    ///
    /// The first import into a store that is not a file also needs `--again`, because the journal
    /// does not exist yet.
    #[arg(long, value_name = "FILE", requires = "import")]
    pub journal: Option<PathBuf>,
    /// Trust the `Forwarded` and `X-Forwarded-*` headers of requests.
    ///
    /// Only for a front behind a proxy that sets them.
    #[arg(long)]
    pub trust_forwarded: bool,
    /// Let callers with the role `service` see key pairs with their secrets. Gateways that cache
    /// secrets then need no admin user.
    #[arg(long)]
    service_sees_key_pairs: bool,
    /// Let `POST /v3/s3tokens` accept keys with a boundary. By default it returns 401 for them.
    ///
    /// Only for gateways that enforce the member `boundary` of the response. Any other gateway lets
    /// such a key do everything that its owner may.
    #[arg(long)]
    pub accept_bounded: bool,
    /// What callers with a trust, an application credential or an OAuth1 token may do.
    #[arg(long, value_name = "WHAT", default_value = "nothing")]
    delegated_callers: Delegated,
    /// Return the same error for an unknown access key and for a wrong signature, so that clients
    /// cannot find out which keys exist.
    #[arg(long)]
    pub hide_unknown_keys: bool,
    /// How many seconds to cache Keystone's data about tokens, users, projects and roles.
    ///
    /// The revocation of a token, the removal of a role and the disabling of a user take effect
    /// within this time.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(0..=3600))]
    cache_seconds: u64,
    /// How many seconds to wait for Keystone's response, and for the next part of a body.
    ///
    /// Request bodies have further limits. A body of up to 112 KiB must arrive within 60 seconds.
    /// Of a larger one, at least 30 KiB must arrive in any 30 seconds.
    #[arg(long, alias = "patience", value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Import although the journal does not exist.
    ///
    /// Records in the store are not changed. All others are imported, also those that were deleted
    /// from the store. Has no effect if the journal exists.
    #[arg(long, requires = "import")]
    pub again: bool,
}

/// The values of [`DelegatedCallers`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Delegated {
    /// Nothing, as in Keystone 2026.2.
    Nothing,
    /// Admins have access to key pairs below `/v3/credentials`: Keystone 2026.2's only exception.
    AdminKeyPairs,
    /// The rights of their user within the token's project, as in Keystone before 2026.2.
    WithinProject,
}

impl Options {
    /// The authorization policy.
    pub fn policy(&self) -> RolePolicy {
        let mut policy = RolePolicy::keystone();
        policy.service_sees_key_pairs = self.service_sees_key_pairs;
        policy.delegated = match self.delegated_callers {
            Delegated::Nothing => DelegatedCallers::Refused,
            Delegated::AdminKeyPairs => DelegatedCallers::AdminKeyPairs,
            Delegated::WithinProject => DelegatedCallers::WithinProject,
        };
        policy
    }

    /// The URL of the store, if one is given.
    pub fn backend(&self) -> Result<Option<String>, OpenError> {
        let url = |name: &String| resolve_url(name, self.store.secret_files.into());
        self.backend.as_ref().map(url).transpose()
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub fn cache_ttl(&self) -> Duration {
        Duration::from_secs(self.cache_seconds)
    }

    /// The content of the PEM file, if one is given.
    pub fn ca(&self) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        let Some(path) = &self.keystone_ca else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(pem))
    }

    /// The prefix of Keystone's paths, before `/v3`.
    pub fn base(&self) -> &str {
        let path = self.keystone.path().trim_end_matches('/');
        path.strip_suffix("/v3").unwrap_or(path)
    }

    /// The front's client for Keystone.
    pub fn client(&self) -> Result<KeystoneClient, Box<dyn Error>> {
        let path = &self.service_password_file;
        let password = SecretFiles::from(self.store.secret_files).read(path)?;
        let password = password.expose().trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(format!("{} contains no password", path.display()).into());
        }
        let user = &*self.service_user;
        let login = match &self.service_project {
            Some(project) => ServiceLogin::password(user, password, &**project)
                .project_domain(&*self.service_project_domain),
            None => ServiceLogin::system(user, password),
        };
        let login = login.user_domain(&*self.service_user_domain);
        let mut client = KeystoneClient::builder(self.keystone.to_string())
            .login(login)
            .cache_ttl(self.cache_ttl());
        if self.import {
            // Long lists take longer.
            client = client.timeout(Duration::from_mins(2));
        }
        if let Some(pem) = self.ca()? {
            client = client.tls(TlsConfig::new().root_certificates(pem));
        }
        let keystone = &self.keystone;
        client.build().map_err(|error| format!("invalid settings for {keystone}: {error}").into())
    }
}
