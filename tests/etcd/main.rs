//! Tests `EtcdBackend` on clusters that the tests start.

mod answers;
mod counters;
mod damaged;
mod feed;
mod login;
mod opening;
mod paging;
mod room;
mod suite;
mod tls;

use std::{error::Error as StdError, sync::Arc, time::UNIX_EPOCH};

use test_support::{around, etcd, installed};
use tower_credentials::{
    backend::{BackendError, CredentialBackend, etcd::EtcdBackend},
    domain::{
        Credential, CredentialId, Kind, Material, ProjectId, Quota, UserId, Version, generate_pair,
    },
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
    let (access_key, secret) = generate_pair().unwrap();
    let mut pair = Credential::new(
        CredentialId::of(&access_key),
        Kind::ec2(),
        UserId::new(user).unwrap(),
        Material::KeyPair { secret: Some(secret) },
        UNIX_EPOCH,
        Version::fresh(),
    );
    pair.access_key = Some(access_key);
    pair.project_id = Some(ProjectId::new("demo").unwrap());
    Arc::new(pair)
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
