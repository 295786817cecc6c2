//! A reverse proxy for an OpenStack Keystone. It answers credential requests itself, from its own
//! store.
//!
//! ```text
//! cargo run --release -p keystone-front -- --keystone http://127.0.0.1:5000 \
//!     --service-user NAME --service-password-file FILE --service-system
//! ```
//!
//! `docs/keystone-front.md` describes the service user and the limits.

pub mod copies;
pub mod headers;
pub mod import;
pub mod indeterminate;
pub mod journal;
pub mod limits;
pub mod listing;
pub mod mirror;
pub mod options;
pub mod paths;
pub mod proxy;
pub mod purge;
mod reachable;
pub mod request_body;
pub mod response_body;
pub mod responses;

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use crate::{
    copies::Coverage,
    indeterminate::IndeterminateDeletions,
    journal::Journal,
    limits::Limited,
    mirror::Mirrored,
    options::Options,
    paths::NormalizePathLayer,
    proxy::Proxy,
    purge::{Purger, Purging},
};
use example_support::{backend, health::Health, publishing::Publishing, server};
use http::Uri;
use tokio::time::timeout;
use tower::ServiceBuilder;
use tower_credentials::{
    CredentialLayer, Dialect,
    aws::StaticRoles,
    backend::CredentialBackend,
    domain::Quota,
    keystone::{KeystoneDirectory, KeystoneValidator},
};
use tower_http::sensitive_headers::{
    SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
};

/// How long the end of the front waits for purges that are running.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// An option is invalid, the store or the address cannot be opened, or an import failed.
pub async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    // First: what is built before records nothing.
    let metrics = Publishing::install(&options.server)?;
    let client = options.client()?;
    let transport = options.server.transport(options.store.secret_files.into())?;
    let (url, file) = (options.backend()?, Path::new("keystone-front.db"));
    let url = url.as_deref();
    let journal = options.journal.clone().map(|journal| (None, journal));
    let journal = journal.or_else(|| journal::paths(url, file));
    if let Some((Some(store), journal)) = &journal {
        journal::create_with_store(store, journal)?;
    } else if options.import && journal.is_none() && url != Some("memory:") {
        return Err("an import into this store requires --journal FILE".into());
    }
    let health = Health::default();
    let (store, _) = backend::open(url, file, &options.store, &health).await?;
    let cached = store.clone();
    if options.import {
        let journal = journal.map(|(_, journal)| Journal::open(&journal, options.again));
        return import::run(&client, Arc::new(store), journal.transpose()?).await;
    }
    let keystone = client.clone();
    health.add("keystone", move || reachable::check(keystone.clone()));
    let coverage = if options.mirror { Coverage::All } else { Coverage::AllButKeyPairs };
    let mirrored = Mirrored::new(store, client.clone(), coverage);
    let store: Arc<dyn CredentialBackend> =
        if options.mirror { Arc::new(Limited::new(mirrored)) } else { Arc::new(mirrored) };

    let audit = options.audit.open(options.store.secret_files.into(), &store, &health).await?;
    let validator = KeystoneValidator::new(client.clone());
    let directory = KeystoneDirectory::new(client.clone());
    let credentials = audit.apply(CredentialLayer::builder(validator, Arc::clone(&store)));
    let credentials = options.aws.clone().apply(credentials, StaticRoles::new(), false);
    let guessers = options.guesser.guessers(options.server.max_connections());
    metrics.serve(&cached, guessers.as_ref(), audit.file(), &health);
    let credentials = options.guesser.apply(credentials, guessers.as_ref());
    let credentials = options
        .server
        .apply(options.key.apply(credentials))
        .prefix(Dialect::KeystoneV3, format!("{}/v3", options.base()))
        .directory(directory)
        .policy(options.policy())
        .hide_unknown_keys(options.hide_unknown_keys)
        .accept_bounded(options.accept_bounded)
        .quota(options.max_keys_per_user.map_or(Quota::Unlimited, Quota::AtMost))
        .trust_forwarded_headers(options.trust_forwarded)
        .build()?;
    let proxy = Proxy::new(&options)?;
    let purger = Purger::new(store, audit.sink(), options.cache_ttl());
    let running = purger.clone();
    let indeterminate = IndeterminateDeletions::new(client, purger.clone());
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(SetSensitiveResponseHeadersLayer::new(server::secret_headers()))
        .layer(NormalizePathLayer)
        .map_response(responses::explain_limits)
        .layer(credentials.clone())
        .service(Purging::new(proxy, purger, indeterminate, options.base()));
    let print = |url: &str| print_commands(url, &options.keystone, options.base());
    let served =
        server::serve(options.listen, &options.server, transport, health, service, print).await;
    if timeout(PURGE_TIMEOUT, running.settled()).await.is_err() {
        tracing::error!("a purge of keys does not end: it has no audit event");
    }
    audit.close(&credentials).await?;
    served
}

/// Prints commands for another terminal.
fn print_commands(front: &str, keystone: &Uri, base: &str) {
    let url = format!("{front}{base}/v3");
    println!("Listening on {front}, in front of {keystone}. Paste into another terminal:\n");
    // Not `openstack ec2 credentials`: it uses the URL in Keystone's catalog, which may not be the
    // front's.
    println!("eval \"$(openstack --os-auth-url {url} token issue -f shell)\"");
    println!(
        "curl -sS {url}/users/$user_id/credentials/OS-EC2 -H \"X-Auth-Token: $id\" \
         -H 'Content-Type: application/json' -d \"{{\\\"tenant_id\\\": \\\"$project_id\\\"}}\""
    );
    println!("curl -sS {url}/users/$user_id/credentials/OS-EC2 -H \"X-Auth-Token: $id\"\n");
}
