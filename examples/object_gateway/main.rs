//! An S3 server of its own behind `CredentialLayer`: keys are minted and locked out
//! on the port on which they are used, and buckets belong to the project of the key
//! that made them.
//!
//! ```text
//! cargo run --release --example object_gateway
//! ```
//!
//! It prints three lines to paste: mint a key, use it, lock it out. Objects are kept in
//! memory, and gone when it ends.

mod buckets;
#[path = "../common/mod.rs"]
mod common;
mod conditions;
mod content;
mod copying;
mod fault;
mod gateway;
#[path = "../common/health.rs"]
mod health;
#[path = "../common/identities/mod.rs"]
mod identities;
mod listing;
mod metadata;
mod objects;
#[path = "../common/paste.rs"]
mod paste;
mod signer;
mod store;
mod target;
mod uploads;
mod xml;

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::{ServiceBuilder, service_fn};
use tower_credentials::CredentialLayer;
use tower_http::{sensitive_headers::SetSensitiveRequestHeadersLayer, trace::TraceLayer};

use crate::{
    common::{backend, server},
    content::Outgoing,
    gateway::Gateway,
    identities::Identities,
    signer::Signer,
    store::Store,
};

/// An S3 server that mints, lists, disables and revokes its own access keys, and keeps
/// objects in memory.
#[derive(Parser)]
struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8339")]
    listen: SocketAddr,
    /// TOML file of tokens, users and projects; without it the public development set.
    #[arg(long)]
    identities: Option<PathBuf>,
    /// Where credentials live: `memory:` or `sqlite:PATH`.
    #[arg(long, default_value = "memory:")]
    backend: String,
    /// Domain below which hosts name buckets, beside those that paths name.
    #[arg(long)]
    base_domain: Option<String>,
    /// How many bytes of objects to keep; each object counts 8 KiB more than it holds.
    #[arg(long, default_value_t = 1 << 30)]
    max_bytes: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    common::log_to_stderr("info");
    common::exit_code(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let identities = Identities::load(options.identities, options.listen)?;
    identities.reload_on_hangup()?;
    let backend = backend::open(Some(&options.backend), Path::new(""))?;
    let credentials = CredentialLayer::builder(identities.clone(), Arc::clone(&backend))
        .directory(identities)
        .build()?;

    let gateway = Gateway::new(Store::new(options.max_bytes), options.base_domain);
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(TraceLayer::new_for_http().make_span_with(server::span))
        .layer(credentials)
        .service(service_fn(move |mut request: Request<Incoming>| {
            let gateway = gateway.clone();
            async move {
                if health::is_check(&request) {
                    let ok = Outgoing::bytes(Bytes::from_static(b"ok\n"));
                    return Ok::<_, Infallible>(Response::new(ok));
                }
                request.extensions_mut().insert(Signer("731fc6f265cd486d900f16e84c5cb594".into()));
                Ok(gateway.answer(request).await)
            }
        }));
    server::serve(options.listen, service, paste::print_lines).await
}
