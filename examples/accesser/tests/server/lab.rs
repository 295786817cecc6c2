//! A running accesser with two buckets of alice's.

use std::time::SystemTime;

use http::Request;
use http_body_util::Full;
use test_support::{
    http::{Answer, Client},
    keys::mint,
    process::{Running, Server},
    signer,
    signing::Signing,
};
use tower_credentials::clock::{Clock, SystemClock};

use crate::ACCESSER;

pub(crate) struct Lab {
    pub(crate) server: Running,
    pub(crate) alice: Signing,
}

impl Lab {
    /// Starts a server, with `dir/x` in the bucket `data`, and `x` in the bucket `secret`.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let server = Server::new(ACCESSER).arguments(arguments).start().await;
        let url = server.url.clone();
        // On HTTP/2, a server that rejects a body does not close the connection.
        let client = Client::http2(&url);
        let key = mint(&client, "dev-alice").await;
        let alice = Signing { client, url, key };
        for (path, body) in
            [("data", ""), ("secret", ""), ("data/dir/x", "1"), ("secret/x", "SECRET")]
        {
            alice.put(path, body).await.expect(200);
        }
        Self { server, alice }
    }

    /// Checks that the objects are unchanged, and that nothing has panicked.
    pub(crate) async fn assert_unchanged(&self) {
        let list = async |bucket: &str| self.alice.get(bucket).await.expect(200).all("Key");
        assert_eq!(
            (list("data").await, list("secret").await),
            (vec!["dir/x".to_owned()], vec!["x".to_owned()])
        );
        assert_eq!(self.alice.get("data/dir/x").await.expect(200).text(), "1");
        assert_eq!(self.alice.get("secret/x").await.expect(200).text(), "SECRET");
        let mut buckets = self.alice.get("").await.expect(200).all("Name");
        buckets.sort_unstable();
        assert_eq!(buckets, ["data", "secret"]);
        let log = self.server.stderr();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// Sends a request without a body, signed with version 2 at this time.
    pub(crate) async fn send_v2_at(&self, method: &str, path: &str, time: SystemTime) -> Answer {
        let date = httpdate::fmt_http_date(time);
        let key = &self.alice.key;
        let signature = signer::sha1(&key.secret, &format!("{method}\n\n\n{date}\n{path}"));
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.alice.url))
            .header("date", date)
            .header("authorization", format!("AWS {}:{signature}", key.access));
        self.alice.client.try_send(request.body(Full::default()).unwrap()).await.unwrap()
    }

    pub(crate) async fn send_v2(&self, method: &str, path: &str) -> Answer {
        self.send_v2_at(method, path, SystemClock.now()).await
    }
}
