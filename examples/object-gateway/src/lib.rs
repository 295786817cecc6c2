//! An S3 server of its own behind `CredentialLayer` and `S3AuthLayer`: keys are minted
//! and locked out on the port on which they are used, the handler sees verified
//! requests only, and buckets belong to the project of the key that made them.
//!
//! ```text
//! cargo run --profile try -p object-gateway -- --demo-key
//! ```
//!
//! It prints a key, and commands that use it and disable it. Objects are kept in
//! memory, and gone when it ends.

pub mod buckets;
pub mod conditions;
pub mod content;
pub mod copying;
pub mod fault;
pub mod forms;
pub mod gateway;
pub mod listing;
pub mod metadata;
pub mod objects;
pub mod options;
pub mod store;
pub mod target;
pub mod uploads;
pub mod xml;

use std::{convert::Infallible, error::Error, path::Path, sync::Arc};

use crate::{gateway::Gateway, options::Options, store::Store};
use example_support::{
    backend,
    hello::{self, DemoKey},
    identities::Identities,
    loopback::LoopbackLayer,
    server,
};
use http::Request;
use hyper::body::Incoming;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_credentials::{
    CredentialLayer,
    s3::{S3AuthLayer, VerifiedBody},
    usage::UsageRecorder,
};
use tower_http::{sensitive_headers::SetSensitiveRequestHeadersLayer, trace::TraceLayer};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// What the command line asks for cannot be had; the message is for people.
pub async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let identities =
        Identities::load(options.identities, options.store.secret_files.into(), options.listen)?;
    identities.reload_on_hangup()?;
    let only_loopback = identities.are_public();

    // Who changes keys and who looks them up do so through the same cache, so that a
    // change is felt at once.
    let url = Some(&*options.backend);
    let (keys, usage) = backend::open(url, Path::new(""), &options.store).await?;
    let mut credentials =
        CredentialLayer::builder(identities.clone(), keys.clone()).directory(identities.clone());
    let mut verifying =
        S3AuthLayer::builder(keys).directory(identities).signature_v2(options.signature_v2);
    // Noted by who checks signatures, shown by who answers about keys.
    if let Some(usage) = usage {
        verifying = verifying.usage(UsageRecorder::new(Arc::clone(&usage)));
        credentials = credentials.usage(usage);
    }
    if let Some(domain) = &options.base_domain {
        verifying = verifying.base_domain(domain);
    }

    let credentials = credentials.build()?;
    let demo_key = if options.demo_key { Some(DemoKey::create(&credentials).await?) } else { None };
    let gateway = Gateway::new(Store::new(options.max_bytes), options.base_domain);
    let gateway = service_fn(move |request: Request<VerifiedBody<Incoming>>| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(gateway.answer(request).await) }
    });
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(TraceLayer::new_for_http().make_span_with(server::span))
        .layer(LoopbackLayer::new(&credentials, only_loopback))
        .layer(credentials)
        .service(example_support::health::checked(verifying.build()?.layer(gateway)));
    server::serve(options.listen, service, |address| hello::print(address, demo_key.as_ref())).await
}
