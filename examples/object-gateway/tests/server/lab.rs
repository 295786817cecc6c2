//! A running gateway, and users with keys.

use test_support::{
    http::Client,
    keys,
    process::{Running, Server},
    signing::Signing,
};

use crate::GATEWAY;

pub(crate) struct Lab {
    pub(crate) server: Running,
}

impl Lab {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self { server: Server::new(GATEWAY).arguments(arguments).start().await }
    }

    /// A client with a new key of the token's user.
    pub(crate) async fn holder(&self, token: &str) -> Signing {
        let url = self.server.url.clone();
        // On HTTP/2, a server that rejects a body does not close the connection.
        let client = Client::http2(&url);
        let key = keys::mint(&client, token).await;
        Signing { client, url, key }
    }

    /// Alice's client, after it created the bucket `demo`.
    pub(crate) async fn alice(&self) -> Signing {
        let alice = self.holder("dev-alice").await;
        alice.put("demo", "").await.expect(200);
        alice
    }
}
