//! A gateway that runs, and people with keys to it.

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clients::{
    http::{Answer, Client},
    keys,
    process::{Running, Server},
    signing::Signing,
};

pub(crate) struct Lab {
    pub(crate) server: Running,
}

impl Lab {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self { server: Server::new().arguments(arguments).start().await }
    }

    /// A holder of a fresh key of the token's user.
    pub(crate) async fn holder(&self, token: &str) -> Signing {
        let url = self.server.url.clone();
        // Who refuses a body that it has not read does not hang up then.
        let client = Client::http2(&url);
        let key = keys::mint(&client, token).await;
        Signing { client, url, key }
    }

    /// Alice, with a bucket called `demo`.
    pub(crate) async fn alice(&self) -> Signing {
        let alice = self.holder("dev-alice").await;
        alice.put("demo", "").await.expect(200);
        alice
    }
}

impl Signing {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }
}

impl Answer {
    /// Refused with this status and code.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert!(self.text().contains(&format!("<Code>{code}</Code>")), "{self:?}");
    }

    /// The texts of the elements of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{name}>"), format!("</{name}>"));
        let parts = text.split(&open).skip(1);
        parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Text as it stands in a path, or in the value of a query.
pub(crate) fn escaped(text: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(text, ESCAPED).to_string()
}
