//! An S3 server with credentials on one port, like an IBM COS accesser: `s3s` on a folder, behind
//! `CredentialLayer`.
//!
//! ```text
//! cargo run --profile try -p accesser -- --demo-key
//! ```
//!
//! Prints a key, and commands that use and disable it.

mod checks;
mod folder;
mod store;
mod uploader;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use example_support::{
    audit_options::AuditOptions,
    aws_options::AwsOptions,
    backend::{self, StoreOptions},
    guesser_options::GuesserOptions,
    health::Health,
    hello::{self, DemoKey},
    identities::Identities,
    key_options::KeyOptions,
    loopback::LoopbackLayer,
    publishing::Publishing,
    server::{self, ServerOptions},
};
use tower::ServiceBuilder;
use tower_credentials::{CredentialLayer, domain::Quota, s3::S3sGuardLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

/// An S3 server that creates, lists, disables and deletes its own access keys.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8338")]
    listen: SocketAddr,
    #[command(flatten)]
    server: ServerOptions,
    /// Folder for the objects (in `buckets`) and for the default store.
    #[arg(long, default_value = "./accesser-data")]
    data: PathBuf,
    /// TOML file with tokens, users and projects [default: a public development set].
    #[arg(long)]
    identities: Option<PathBuf>,
    /// The store of credentials: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT` [default: sqlite:DATA/credentials.db].
    ///
    /// Other users can see a password in an argument. `env:NAME` takes the URL from an environment
    /// variable, and `@PATH` from the first line of a file that only its owner can read.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    key: KeyOptions,
    #[command(flatten)]
    aws: AwsOptions,
    #[command(flatten)]
    audit: AuditOptions,
    #[command(flatten)]
    guesser: GuesserOptions,
    /// The maximum number of credentials per user [default: unlimited].
    #[arg(long)]
    max_keys_per_user: Option<u32>,
    /// Create a key for `alice` of the development identities, and print it.
    #[arg(long, conflicts_with = "identities")]
    demo_key: bool,
    /// Also accept signatures of version 2, which cover less of a request.
    #[arg(long)]
    signature_v2: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // `s3s` logs every invalid signature as an error, and anybody can send those.
    let options: Options = example_support::parse();
    example_support::log_to_stderr("info,s3s::ops=off", options.server.log_format());
    example_support::exit_code(run(options).await)
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // First: what is built before records nothing.
    let metrics = Publishing::install(&options.server)?;
    let identities =
        Identities::load(options.identities, options.store.secret_files.into(), options.listen)?;
    identities.reload_on_hangup()?;
    let are_public = identities.are_public();
    let transport = options.server.transport(options.store.secret_files.into())?;

    let buckets = options.data.join("buckets");
    std::fs::create_dir_all(&buckets)
        .map_err(|error| format!("cannot create {}: {error}", buckets.display()))?;
    let file = options.data.join("credentials.db");
    let health = Health::default();
    let (keys, usage) =
        backend::open(options.backend.as_deref(), &file, &options.store, &health).await?;
    // The layer and the store share the cache.
    let mut credentials = CredentialLayer::builder(identities.clone(), keys.clone())
        .directory(identities.clone())
        .quota(options.max_keys_per_user.map_or(Quota::Unlimited, Quota::AtMost));
    credentials = options.server.apply(options.key.apply(credentials));
    let audit = options.audit.open(options.store.secret_files.into(), &keys, &health).await?;
    credentials = audit.apply(credentials);
    let guessers = options.guesser.guessers(options.server.max_connections());
    metrics.serve(&keys, guessers.as_ref(), audit.file(), &health);
    credentials = options.guesser.apply(credentials, guessers.as_ref());
    let account_id = options.aws.account_id().to_owned();
    credentials = options.aws.apply(credentials, identities.clone(), are_public);
    if let Some(usage) = usage {
        // Shows last uses that a gateway on the same store recorded; `s3s` does not report uses.
        credentials = credentials.usage(usage);
    }

    let credentials = credentials.build()?;
    let demo_key = if options.demo_key { Some(DemoKey::create(&credentials).await?) } else { None };
    // The layer answers credential requests. Everything else reaches the store, also a signed
    // request to a bucket named `credentials`.
    let mut guard = S3sGuardLayer::builder().signature_v2(options.signature_v2);
    if let Some(guessers) = guessers {
        guard = guard.guessers(guessers);
    }
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(LoopbackLayer::new(&credentials, are_public))
        .layer(credentials.clone())
        .service(store::open(&buckets, keys, identities, &account_id, guard)?);
    let print = |url: &str| hello::print(url, are_public, demo_key.as_ref());
    let served =
        server::serve(options.listen, &options.server, transport, health, service, print).await;
    audit.close(&credentials).await?;
    served
}
