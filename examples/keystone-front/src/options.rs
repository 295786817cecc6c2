//! The command line.

use std::{error::Error, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use example_support::backend::StoreOptions;
use http::Uri;
use tower_credentials::{
    backend::{OpenError, resolve_url},
    keystone::{KeystoneClient, ServiceLogin},
    policy::{DelegatedCallers, RolePolicy},
    secret_files::SecretFiles,
    tls::TlsConfig,
};

/// Answers Keystone's credential calls from a store of its own, and passes every
/// other request on to Keystone.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:5001")]
    pub listen: SocketAddr,
    /// The Keystone behind this front, with or without `/v3` at its end.
    ///
    /// The front answers on the same paths.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    pub keystone: Uri,
    /// PEM file of the certificate authorities to trust for Keystone, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub keystone_ca: Option<PathBuf>,
    /// Where credentials live: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT` [default: sqlite:keystone-front.db].
    ///
    /// `env:NAME` takes the URL from the environment, `@PATH` from the first line of a file that
    /// only its owner may read: so that its password is not seen.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    #[command(flatten)]
    pub store: StoreOptions,
    /// The user as whom the front asks Keystone about tokens, users and projects.
    #[arg(long, value_name = "NAME")]
    service_user: String,
    /// File with that user's password; a line break at its end does not count.
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
    /// Log the service user in to the system as a whole instead, where the role reader is enough
    /// without `--mirror` and `--import`.
    #[arg(long, conflicts_with = "service_project_domain")]
    service_system: bool,
    /// Domain of the service user, by its name.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    service_user_domain: String,
    /// Domain of the service user's project, by its name.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    service_project_domain: String,
    /// How many credentials a user may hold; any number unless set.
    #[arg(long, value_name = "N")]
    pub max_keys_per_user: Option<u32>,
    /// Write changes of key pairs through to Keystone too (the service user needs the role admin).
    ///
    /// `POST /v3/ec2tokens` is passed on to Keystone, which knows a key that was made
    /// here only with this. Credentials of other types, such as `totp`, are written through
    /// in any case. Root keys are not, and key pairs whose limits Keystone cannot keep are refused.
    #[arg(long)]
    pub mirror: bool,
    /// Take over the credentials that Keystone has, and exit (the service user needs the role
    /// admin).
    ///
    /// Can be repeated: what is new in Keystone or has changed there is taken over, but nothing
    /// that was deleted or changed here since.
    #[arg(long, conflicts_with_all = ["mirror", "listen"])]
    pub import: bool,
    /// Where it is kept what was imported before; a file that every import into this store
    /// names [default: beside the store, if that is a file].
    ///
    /// The first import into a store that is no file needs `--again` too, since there is none yet.
    #[arg(long, value_name = "FILE", requires = "import")]
    pub journal: Option<PathBuf>,
    /// Believe the `Forwarded` and `X-Forwarded-*` headers of requests.
    ///
    /// For a front that is reached only through a proxy which sets them.
    #[arg(long)]
    pub trust_forwarded: bool,
    /// Let callers with the role `service` see key pairs with their secrets, so that gateways
    /// which remember secrets need no admin user.
    #[arg(long)]
    service_sees_key_pairs: bool,
    /// What callers with a trust, an application credential or an OAuth1 token may do with
    /// credentials.
    #[arg(long, value_name = "WHAT", default_value = "nothing")]
    delegated_callers: Delegated,
    /// Answer an unknown access key like a wrong signature, so that nobody can ask which exist.
    #[arg(long)]
    pub hide_unknown_keys: bool,
    /// For how many seconds what Keystone said about a token, a user, a project or a role counts.
    ///
    /// Within that time a revoked token, a lost role and a disabled user are felt.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(0..=3600))]
    cache_seconds: u64,
    /// How many seconds Keystone may take to answer, and a body may pause on its way.
    ///
    /// Bodies of requests have further limits: 60 seconds in total up to 112 KiB, and for larger
    /// ones at least 30 KiB in any 30 seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    patience: u64,
    /// Import though it is not known what was imported before, since the journal beside the
    /// store is missing.
    ///
    /// What is in the store stays as it is; what is not there is taken over, also what was
    /// deleted here. Changes nothing where there is a journal.
    #[arg(long, requires = "import")]
    pub again: bool,
}

/// The choices of [`DelegatedCallers`], by their names on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Delegated {
    /// Nothing, as in Keystone 2026.2.
    Nothing,
    /// Admins reach key pairs below `/v3/credentials`: Keystone 2026.2's one exception.
    AdminKeyPairs,
    /// What their user may, within the token's project, as in Keystone before 2026.2.
    WithinProject,
}

impl Options {
    /// Who may do what.
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

    /// The URL of the store, if one is named.
    pub fn backend(&self) -> Result<Option<String>, OpenError> {
        let url = |name: &String| resolve_url(name, self.store.secret_files.into());
        self.backend.as_ref().map(url).transpose()
    }

    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    pub fn cached_for(&self) -> Duration {
        Duration::from_secs(self.cache_seconds)
    }

    /// The text of the PEM file, if one is named.
    pub fn ca(&self) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        let Some(path) = &self.keystone_ca else { return Ok(None) };
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(pem))
    }

    /// What all of Keystone's paths start with, before `/v3`.
    pub fn base(&self) -> &str {
        let path = self.keystone.path().trim_end_matches('/');
        path.strip_suffix("/v3").unwrap_or(path)
    }

    /// The front's own client of Keystone.
    pub fn client(&self) -> Result<KeystoneClient, Box<dyn Error>> {
        let path = &self.service_password_file;
        let password = SecretFiles::from(self.store.secret_files).read(path)?;
        let password = password.expose().trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(format!("{}: there is no password in it", path.display()).into());
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
            .cache_ttl(self.cached_for());
        if self.import {
            // Long lists take long.
            client = client.timeout(Duration::from_mins(2));
        }
        if let Some(pem) = self.ca()? {
            client = client.tls(TlsConfig::new().root_certificates(pem));
        }
        let keystone = &self.keystone;
        client.build().map_err(|error| format!("cannot ask {keystone}: {error}").into())
    }
}
