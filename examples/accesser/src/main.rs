//! An S3 server with credentials: `s3s` on a folder, behind `CredentialLayer`,
//! on one port, as an IBM COS accesser is.
//!
//! ```text
//! cargo run --profile try -p accesser -- --demo-key
//! ```
//!
//! It prints a key, and commands that use it and disable it.

mod access;
mod arriving;
mod checks;
mod folder;
mod names;
mod store;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use example_support::{
    backend::{self, StoreOptions},
    hello::{self, DemoKey},
    identities::Identities,
    loopback::LoopbackLayer,
    server,
    store::parse,
};
use tower::ServiceBuilder;
use tower_credentials::{CredentialLayer, domain::Quota};
use tower_http::{sensitive_headers::SetSensitiveRequestHeadersLayer, trace::TraceLayer};

/// An S3 server that mints, lists, disables and revokes its own access keys.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8338")]
    listen: SocketAddr,
    /// Folder of the objects (in `buckets`) and of the default backend's file.
    #[arg(long, default_value = "./accesser-data")]
    data: PathBuf,
    /// TOML file of tokens, users and projects; without it the public development set.
    #[arg(long)]
    identities: Option<PathBuf>,
    /// Where credentials live: `memory:`, `sqlite:PATH`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or
    /// `etcd://HOST:PORT,HOST:PORT` [default: sqlite:<data>/credentials.db].
    ///
    /// `env:NAME` takes the URL from the environment, `@PATH` from the first line of a file that
    /// only its owner may read: so that its password is not seen.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// How many credentials a user may hold; any number unless set.
    #[arg(long)]
    max_keys_per_user: Option<u32>,
    /// Create a key for `alice` of the development identities, and print it.
    #[arg(long, conflicts_with = "identities")]
    demo_key: bool,
    /// Admits signatures of version 2, which sign less.
    #[arg(long)]
    signature_v2: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // `s3s` logs every refused signature as an error, and anybody can send those.
    example_support::log_to_stderr("info,s3s::ops=off");
    example_support::exit_code(run(parse()).await)
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let identities =
        Identities::load(options.identities, options.store.secret_files.into(), options.listen)?;
    identities.reload_on_hangup()?;
    let only_loopback = identities.are_public();

    let buckets = options.data.join("buckets");
    std::fs::create_dir_all(&buckets)
        .map_err(|error| format!("cannot create {}: {error}", buckets.display()))?;
    let file = options.data.join("credentials.db");
    let (keys, usage) = backend::open(options.backend.as_deref(), &file, &options.store).await?;
    // Written through the same cache that the store reads through.
    let mut credentials = CredentialLayer::builder(identities.clone(), keys.clone())
        .directory(identities.clone())
        .quota(options.max_keys_per_user.map_or(Quota::Unlimited, Quota::AtMost));
    if let Some(usage) = usage {
        // `s3s` tells nobody of uses; a gateway on the same store may have noted some.
        credentials = credentials.usage(usage);
    }

    let credentials = credentials.build()?;
    let demo_key = if options.demo_key { Some(DemoKey::create(&credentials).await?) } else { None };
    // Credential requests are answered by the layer; everything else, also a
    // signed request to a bucket called `credentials`, reaches the store.
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(TraceLayer::new_for_http().make_span_with(server::span))
        .layer(LoopbackLayer::new(&credentials, only_loopback))
        .layer(credentials)
        .service(store::open(&buckets, keys, identities, options.signature_v2)?);
    server::serve(options.listen, service, |address| hello::print(address, demo_key.as_ref())).await
}
