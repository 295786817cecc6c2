//! The life of a key, as its holder sees it.

use crate::{
    keys::{self, Key, Origin},
    process::{Program, Running, Server},
};

/// A holder of a key who is about to use it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Where the server is.
    pub url: String,
    /// A bucket that may not be there yet.
    pub bucket: String,
    pub key: Key,
}

impl Holder {
    /// The server without its scheme.
    pub fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }
}

/// Has a client use keys of every origin on a fresh server.
///
/// The client does what one does with a key, and checks for itself that it is right;
/// what its first request is refused with, it returns.
pub async fn of_keys(
    program: Program,
    arguments: &[&str],
    client: impl AsyncFn(Holder) -> Result<(), String>,
) {
    let server = Server::new(program).arguments(arguments).start().await;
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        of_a_key(&server, bucket, origin, &client).await;
    }
}

async fn of_a_key(
    server: &Running,
    bucket: &str,
    origin: Origin,
    client: &impl AsyncFn(Holder) -> Result<(), String>,
) {
    let api = server.client();
    let key = origin.mint(&api).await;
    let holder = Holder { url: server.url.clone(), bucket: bucket.to_owned(), key: key.clone() };
    let works = async || assert_eq!(client(holder.clone()).await, Ok(()), "{origin:?}");
    let is_refused = async |holder: Holder, code: &str| {
        let said = client(holder).await.expect_err(code);
        assert!(said.contains(code), "{origin:?}: {said}");
    };
    works().await;
    let wrong = Key { secret: format!("{}x", key.secret), ..key.clone() };
    is_refused(Holder { key: wrong, ..holder.clone() }, "SignatureDoesNotMatch").await;
    keys::set_status(&api, &key, "Inactive").await;
    is_refused(holder.clone(), "InvalidAccessKeyId").await;
    keys::set_status(&api, &key, "Active").await;
    works().await;
    origin.delete(&api, &key).await;
    is_refused(holder.clone(), "InvalidAccessKeyId").await;
}
