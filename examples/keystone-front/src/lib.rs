//! A front for an OpenStack Keystone: a reverse proxy that answers the credential
//! calls itself, from a store of its own.
//!
//! ```text
//! cargo run --release -p keystone-front -- --keystone http://127.0.0.1:5000 \
//!     --service-user NAME --service-password-file FILE --service-system
//! ```
//!
//! `README.md` beside this file tells what the service user needs, and the limits.

pub mod answers;
pub mod body;
pub mod copies;
pub mod doubts;
pub mod explain;
pub mod forwarded;
pub mod import;
pub mod journal;
pub mod limits;
pub mod listing;
pub mod mirror;
pub mod options;
pub mod pace;
pub mod proxy;
pub mod purge;
pub mod returned;
pub mod spelling;

use std::{error::Error, net::SocketAddr, path::Path, sync::Arc};

use crate::{
    copies::Covering,
    doubts::Doubts,
    journal::Journal,
    limits::Limited,
    mirror::Mirrored,
    options::Options,
    proxy::Proxy,
    purge::{Purger, Purging},
    spelling::SpellingLayer,
};
use example_support::{backend, server};
use http::Uri;
use tower::ServiceBuilder;
use tower_credentials::{
    CredentialLayer, Dialect,
    backend::CredentialBackend,
    domain::Quota,
    keystone::{KeystoneDirectory, KeystoneValidator},
};
use tower_http::{
    sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer},
    trace::TraceLayer,
};

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// What the command line asks for cannot be had; the message is for people.
pub async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let client = options.client()?;
    let (url, file) = (options.backend()?, Path::new("keystone-front.db"));
    let url = url.as_deref();
    let journal = options.journal.clone().map(|journal| (None, journal));
    let journal = journal.or_else(|| journal::beside(url, file));
    if let Some((Some(store), journal)) = &journal {
        journal::begin(store, journal)?;
    } else if options.import && journal.is_none() && url != Some("memory:") {
        return Err("name a file for --journal, which tells what was imported before".into());
    }
    let (store, _) = backend::open(url, file, &options.store).await?;
    if options.import {
        let journal = journal.map(|(_, journal)| Journal::open(&journal, options.again));
        return import::run(&client, Arc::new(store), journal.transpose()?).await;
    }
    let covering = if options.mirror { Covering::All } else { Covering::AllButKeyPairs };
    let mirrored = Mirrored::new(store, client.clone(), covering);
    let store: Arc<dyn CredentialBackend> =
        if options.mirror { Arc::new(Limited::new(mirrored)) } else { Arc::new(mirrored) };

    let validator = KeystoneValidator::new(client.clone());
    let directory = KeystoneDirectory::new(client.clone());
    let credentials = CredentialLayer::builder(validator, Arc::clone(&store))
        .prefix(Dialect::KeystoneV3, format!("{}/v3", options.base()))
        .directory(directory)
        .policy(options.policy())
        .hide_unknown_keys(options.hide_unknown_keys)
        .quota(options.max_keys_per_user.map_or(Quota::Unlimited, Quota::AtMost))
        .trust_forwarded_headers(options.trust_forwarded)
        .build()?;
    let proxy = Proxy::new(&options)?;
    let purger = Purger::new(store, options.cached_for());
    let doubts = Doubts::new(client, purger.clone());
    let service = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::new(server::secret_headers()))
        .layer(TraceLayer::new_for_http().make_span_with(server::span))
        .layer(SetSensitiveResponseHeadersLayer::new(server::secret_headers()))
        .layer(SpellingLayer)
        .map_response(explain::explained)
        .layer(credentials)
        .service(Purging::new(proxy, purger, doubts, options.base()));
    let greet = |address| print_lines_to_paste(address, &options.keystone, options.base());
    server::serve(options.listen, service, greet).await
}

fn print_lines_to_paste(address: SocketAddr, keystone: &Uri, base: &str) {
    let url = format!("http://{address}{base}/v3");
    println!("Listening on http://{address}, in front of {keystone}. Paste:\n");
    // Not `openstack ec2 credentials`: once it is logged in it goes where Keystone's
    // catalog says, which may be past the front.
    println!("eval \"$(openstack --os-auth-url {url} token issue -f shell)\"");
    println!(
        "curl -sS {url}/users/$user_id/credentials/OS-EC2 -H \"X-Auth-Token: $id\" \
         -H 'Content-Type: application/json' -d \"{{\\\"tenant_id\\\": \\\"$project_id\\\"}}\""
    );
    println!("curl -sS {url}/users/$user_id/credentials/OS-EC2 -H \"X-Auth-Token: $id\"\n");
}
