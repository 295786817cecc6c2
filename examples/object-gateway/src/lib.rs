//! An S3 server behind `CredentialLayer` and `S3AuthLayer`.
//!
//! Keys are created and disabled on the port on which they are used. The handler gets verified
//! requests only. A bucket belongs to the project of the key that created it.
//!
//! ```text
//! cargo run --profile try -p object-gateway -- --demo-key
//! ```
//!
//! Prints a key, and commands that use and disable it. Objects are in memory, and are lost when
//! the server stops.

pub mod buckets;
pub mod conditions;
pub mod content;
pub mod fault;
pub mod forms;
pub mod gateway;
pub mod listing;
pub mod objects;
pub mod store;
pub mod target;
pub mod uploads;
pub mod xml;

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{gateway::Gateway, store::Store};
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
use http::Request;
use hyper::body::Incoming;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_credentials::{
    CredentialLayer,
    s3::{S3AuthLayer, VerifiedBody},
    usage::UsageRecorder,
};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

/// An S3 server that creates, lists, disables and deletes its own access keys, with objects in
/// memory.
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8339")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub server: ServerOptions,
    /// TOML file with tokens, users and projects [default: a public development set].
    #[arg(long)]
    pub identities: Option<PathBuf>,
    /// The store of credentials: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT`.
    ///
    /// Other users can see a password in an argument. `env:NAME` takes the URL from an environment
    /// variable, and `@PATH` from the first line of a file that only its owner can read.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub backend: String,
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
    /// Also accept requests for `BUCKET.DOMAIN`, with this domain.
    #[arg(long)]
    pub base_domain: Option<String>,
    /// Create a key for `alice` of the development identities, and print it.
    #[arg(long, conflicts_with = "identities")]
    pub demo_key: bool,
    /// Also accept signatures of version 2, which cover less of a request.
    #[arg(long)]
    pub signature_v2: bool,
    /// The maximum size of all objects in bytes. Each object counts 8 KiB more than its content.
    #[arg(long, default_value_t = 1 << 30)]
    pub max_bytes: u64,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// An option is invalid, or the store or the address cannot be opened.
pub async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // First: what is built before records nothing.
    let metrics = Publishing::install(&options.server)?;
    let identities =
        Identities::load(options.identities, options.store.secret_files.into(), options.listen)?;
    identities.reload_on_hangup()?;
    let are_public = identities.are_public();
    let transport = options.server.transport(options.store.secret_files.into())?;

    // Both layers share the cache, so that a change takes effect at once.
    let url = Some(&*options.backend);
    let health = Health::default();
    let (keys, usage) = backend::open(url, Path::new(""), &options.store, &health).await?;
    let mut credentials =
        CredentialLayer::builder(identities.clone(), keys.clone()).directory(identities.clone());
    credentials = options.server.apply(options.key.apply(credentials));
    let audit = options.audit.open(options.store.secret_files.into(), &keys, &health).await?;
    credentials = audit.apply(credentials);
    let guessers = options.guesser.guessers(options.server.max_connections());
    metrics.serve(&keys, guessers.as_ref(), audit.file(), &health);
    credentials = options.guesser.apply(credentials, guessers.as_ref());
    let account_id = options.aws.account_id().to_owned();
    credentials = options.aws.apply(credentials, identities.clone(), are_public);
    let mut auth = S3AuthLayer::builder(keys)
        .directory(identities)
        .base_domains(&options.base_domain)
        .operations(gateway::operations())
        .account_id(account_id)
        .signature_v2(options.signature_v2);
    if let Some(guessers) = guessers {
        auth = auth.guessers(guessers);
    }
    // `S3AuthLayer` records uses, and `CredentialLayer` shows them.
    if let Some(usage) = usage {
        auth = auth.usage(UsageRecorder::new(Arc::clone(&usage)));
        credentials = credentials.usage(usage);
    }

    let credentials = credentials.build()?;
    let demo_key = if options.demo_key { Some(DemoKey::create(&credentials).await?) } else { None };
    let gateway = Gateway::new(Store::new(options.max_bytes), options.base_domain);
    let gateway = service_fn(move |request: Request<VerifiedBody<Incoming>>| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.respond(request).await) }
    });
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(LoopbackLayer::new(&credentials, are_public))
        .layer(credentials.clone())
        .service(auth.build()?.layer(gateway));
    let print = |url: &str| hello::print(url, are_public, demo_key.as_ref());
    let served =
        server::serve(options.listen, &options.server, transport, health, service, print).await;
    audit.close(&credentials).await?;
    served
}
