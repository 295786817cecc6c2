//! The life of a key: created, used, disabled, enabled, deleted.

use crate::{
    keys::{self, Key, Origin},
    process::{Program, Running, Server},
};

/// A key with what a client needs to use it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The URL of the server.
    pub url: String,
    /// A bucket, which may not exist yet.
    pub bucket: String,
    pub key: Key,
}

impl Holder {
    /// The host and port of the server.
    pub fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }
}

/// Runs a client with keys of every origin on a new server.
///
/// The client uses the key and checks the results. It returns the error of its first request.
pub async fn check_keys(
    program: Program,
    arguments: &[&str],
    client: impl AsyncFn(Holder) -> Result<(), String>,
) {
    let server = Server::new(program).arguments(arguments).start().await;
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        check_key(&server, bucket, origin, &client).await;
    }
}

async fn check_key(
    server: &Running,
    bucket: &str,
    origin: Origin,
    client: &impl AsyncFn(Holder) -> Result<(), String>,
) {
    let api = server.client();
    let key = origin.mint(&api).await;
    let holder = Holder { url: server.url.clone(), bucket: bucket.to_owned(), key: key.clone() };
    let works = async || assert_eq!(client(holder.clone()).await, Ok(()), "{origin:?}");
    let is_rejected = async |holder: Holder, code: &str| {
        let output = client(holder).await.expect_err(code);
        assert!(output.contains(code), "{origin:?}: {output}");
    };
    works().await;
    let wrong = Key { secret: format!("{}x", key.secret), ..key.clone() };
    is_rejected(Holder { key: wrong, ..holder.clone() }, "SignatureDoesNotMatch").await;
    keys::set_status(&api, &key, "Inactive").await;
    is_rejected(holder.clone(), "InvalidAccessKeyId").await;
    keys::set_status(&api, &key, "Active").await;
    works().await;
    origin.delete(&api, &key).await;
    is_rejected(holder.clone(), "InvalidAccessKeyId").await;
}
