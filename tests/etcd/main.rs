//! Tests `EtcdBackend` on clusters that the tests start.

mod answers;
mod counters;
mod damaged;
mod expiry;
mod feed;
mod login;
mod opening;
mod paging;
mod room;
mod suite;
mod tls;
mod upgrading;

use std::{error::Error as StdError, sync::Arc};

use test_support::{damaged_list, etcd, installed, records};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, etcd::EtcdBackend},
    domain::{Credential, Material, Quota},
};

use self::etcd::Cluster;

/// Starts a cluster; `None` if etcd is not installed.
fn cluster(members: usize, arguments: &[&str]) -> Option<Cluster> {
    etcd::is_installed().then(|| Cluster::start(members, arguments))
}

async fn connect(cluster: &Cluster) -> EtcdBackend {
    EtcdBackend::open(&cluster.url()).await.unwrap()
}

/// A key pair of this user.
fn pair(user: &str) -> Arc<Credential> {
    records::new_pair_in("demo", user).into()
}

/// A record with a blob of this many bytes.
fn long(user: &str, bytes: usize) -> Arc<Credential> {
    let mut long = (*pair(user)).clone();
    long.material = Material::Blob(tower_credentials::domain::Blob::new("x".repeat(bytes)));
    Arc::new(long)
}

async fn insert(
    backend: &impl CredentialBackend,
    record: &Arc<Credential>,
) -> Result<(), BackendError> {
    backend.insert(record, Quota::Unlimited).await
}

/// An error with its sources.
fn report(error: &dyn StdError) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
