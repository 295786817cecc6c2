//! Builds and signs raw requests.

use std::{fmt::Write, time::Duration};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, macros::format_description};
use tower_credentials::clock::{Clock, SystemClock};

use crate::signer;

/// A request to sign and send. Path and query are encoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The time and scope of a signature. Unusual values make it invalid.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// How many seconds in the past, or in the future if negative.
    pub(crate) age: i64,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) expires: String,
}

impl Default for Terms {
    fn default() -> Self {
        let [region, service, expires] = ["us-east-1", "s3", "300"].map(Into::into);
        Self { age: 0, region, service, expires }
    }
}

/// The time this many seconds ago.
fn moment(age: i64) -> OffsetDateTime {
    OffsetDateTime::from(SystemClock.now()) - time::Duration::seconds(age)
}

/// The time in the format of version 4.
pub(crate) fn stamp(age: i64) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    moment(age).format(format).unwrap()
}

/// The time in the format of version 2.
pub(crate) fn date_line(age: i64) -> String {
    let back = Duration::from_secs(age.unsigned_abs());
    let now = SystemClock.now();
    httpdate::fmt_http_date(if age < 0 { now + back } else { now - back })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

impl Sketch {
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.into(), path: path.into(), ..Self::default() }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A call of the API with a token and a JSON body.
    pub(crate) fn call(method: &str, path: &str, token: &str, body: &str) -> Self {
        let mut this = Self::new(method, path).header("X-Auth-Token", token);
        if !body.is_empty() {
            this = this.header("Content-Type", "application/json").body(body);
        }
        this
    }

    /// Signs the headers with version 4.
    pub(crate) fn v4(self, host: &str, access: &str, secret: &str, terms: &Terms) -> Self {
        let (time, hash) = (stamp(terms.age), sha256(&self.body));
        let scope = terms.scope(&time);
        let headers = format!("host:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n");
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let text = self.to_sign(&time, &scope, &headers, signed, &hash);
        let signature = signer::v4(secret, &scope, &text);
        self.header("x-amz-date", time).header("x-amz-content-sha256", hash).header(
            "Authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={signed}, \
                 Signature={signature}"
            ),
        )
    }

    /// Presigns with version 4.
    pub(crate) fn presigned(self, host: &str, access: &str, secret: &str, terms: &Terms) -> Self {
        let time = stamp(terms.age);
        let scope = terms.scope(&time);
        let credential = format!("{access}/{scope}").replace('/', "%2F");
        let this = self
            .query("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
            .query("X-Amz-Credential", &credential)
            .query("X-Amz-Date", &time)
            .query("X-Amz-Expires", &terms.expires)
            .query("X-Amz-SignedHeaders", "host");
        let headers = format!("host:{host}\n");
        let text = this.to_sign(&time, &scope, &headers, "host", "UNSIGNED-PAYLOAD");
        let signature = signer::v4(secret, &scope, &text);
        this.query("X-Amz-Signature", &signature)
    }

    /// Signs with version 2.
    pub(crate) fn v2(self, access: &str, secret: &str, age: i64) -> Self {
        let date = date_line(age);
        let text = format!("{}\n\n\n{date}\n{}", self.method, self.path);
        let signature = signer::sha1(secret, &text);
        self.header("Date", date).header("Authorization", format!("AWS {access}:{signature}"))
    }

    fn to_sign(&self, time: &str, scope: &str, headers: &str, signed: &str, hash: &str) -> String {
        let mut query: Vec<_> =
            self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        query.sort_unstable();
        let (method, path, query) = (&self.method, &self.path, query.join("&"));
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{hash}");
        format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()))
    }

    /// The bytes of the request, with `Connection: close`.
    pub(crate) fn write(&self, host: &str) -> Vec<u8> {
        let mut head = self.head(host, "close");
        if !self.body.is_empty() || !matches!(&*self.method, "GET" | "HEAD" | "DELETE") {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// The request line and the headers, without the length of the body.
    pub(crate) fn head(&self, host: &str, connection: &str) -> String {
        let mut head = format!("{} {}", self.method, self.path);
        for (n, (name, value)) in self.query.iter().enumerate() {
            let _ = write!(head, "{}{name}={value}", if n == 0 { '?' } else { '&' });
        }
        let _ = write!(head, " HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head
    }
}

impl Terms {
    fn scope(&self, time: &str) -> String {
        format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service)
    }
}
