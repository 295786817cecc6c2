//! A client of ours whose requests Amazon's own signer signs.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{SigningParams, sign_chunk};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    aws_signer::Signer,
    http::{Answer, Client},
    keys::Key,
};

/// What the hash of a body is said to be that comes in signed chunks.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// The holder of a key at work.
#[derive(Clone)]
pub struct Signing {
    pub client: Client,
    pub url: String,
    pub key: Key,
}

impl Signing {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    /// The same with headers.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.into();
        let signer = self.signer(SystemClock.now()).body(body.clone());
        let (request, _) = signer.sign(request.body(Full::new(body)).unwrap());
        self.client.try_send(request).await.unwrap()
    }

    /// Puts an object in chunks of 64 KiB; perhaps with a byte that was changed after
    /// it was signed.
    pub async fn send_in_chunks(&self, path: &str, content: &Bytes, changed: bool) -> Answer {
        let time = SystemClock.now();
        let request = Request::put(format!("{}/{path}", self.url))
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", content.len());
        let signer = self.signer(time).payload(CHUNKS);
        let (request, mut signature) = signer.sign(request.body(()).unwrap());
        let mut body = Vec::new();
        for chunk in content.chunks(64 << 10).chain([&[][..]]) {
            signature = self.sign_chunk(chunk, &signature, time);
            let head = format!("{:x};chunk-signature={signature}\r\n", chunk.len());
            body.extend([head.as_bytes(), chunk, b"\r\n"].concat());
        }
        if changed {
            body[100_000] = b'b';
        }
        let request = request.map(|()| Full::new(Bytes::from(body)));
        self.client.try_send(request).await.unwrap()
    }

    pub fn signer(&self, time: SystemTime) -> Signer {
        Signer::new(&self.key.access, &self.key.secret, time)
    }

    /// The signature of a chunk that follows one with this signature.
    fn sign_chunk(&self, chunk: &[u8], last: &str, time: SystemTime) -> String {
        let Key { access, secret } = &self.key;
        let identity = Credentials::new(access, secret, None, None, "test").into();
        let params = SigningParams::builder().identity(&identity).region("us-east-1").name("s3");
        let params = params.time(time).settings(()).build().unwrap();
        let signed = sign_chunk(&Bytes::copy_from_slice(chunk), last, &params);
        signed.unwrap().into_parts().1
    }
}

/// Text as it stands in a path, or in the value of a query.
pub fn escaped(text: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(text, ESCAPED).to_string()
}
