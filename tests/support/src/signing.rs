//! A client that signs its requests with Amazon's signer, and posts forms.

use std::{fmt::Write as _, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{SigningParams, sign_chunk};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{Method, Request};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use time::{OffsetDateTime, macros::format_description};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    aws_signer::Signer,
    http::{Answer, Client},
    keys::Key,
    signer,
};

/// The value of `x-amz-content-sha256` for a body in signed chunks.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// A client with a key.
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

    /// Sends a request with additional headers.
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

    /// Puts an object in signed chunks of 64 KiB. If `changed`, changes a byte after signing.
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

    /// Posts a file to a bucket with a form of these fields, all of which are signed.
    pub async fn post_form(&self, bucket: &str, fields: &[(&str, &str)], file: &str) -> Answer {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::from(SystemClock.now()).format(format).unwrap();
        let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
        let credential = format!("{}/{scope}", self.key.access);
        let mut fields = fields.to_vec();
        fields.extend([
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &date),
        ]);
        let mut conditions = vec![json!({"bucket": bucket}), json!(["starts-with", "$key", ""])];
        let exact = fields.iter().filter(|(name, _)| *name != "key");
        conditions.extend(exact.map(|(name, value)| json!(["eq", format!("${name}"), value])));
        let policy = json!({"expiration": "2099-01-01T00:00:00Z", "conditions": conditions});
        let policy = BASE64.encode(policy.to_string().as_bytes());
        let signature = signer::v4(&self.key.secret, &scope, &policy);
        fields.extend([("policy", &*policy), ("x-amz-signature", &*signature)]);
        let head = "--b\r\nContent-Disposition: form-data; name=";
        let mut body = String::new();
        for (name, value) in fields {
            let _ = write!(body, "{head}\"{name}\"\r\n\r\n{value}\r\n");
        }
        let _ = write!(body, "{head}\"file\"; filename=\"a b.txt\"\r\n\r\n{file}\r\n--b--\r\n");
        let request = Request::post(format!("{}/{bucket}", self.url))
            .header("content-type", "multipart/form-data; boundary=b");
        self.client.try_send(request.body(Full::from(body)).unwrap()).await.unwrap()
    }

    /// The signature of a chunk, given that of the previous one.
    fn sign_chunk(&self, chunk: &[u8], last: &str, time: SystemTime) -> String {
        let Key { access, secret } = &self.key;
        let identity = Credentials::new(access, secret, None, None, "test").into();
        let params = SigningParams::builder().identity(&identity).region("us-east-1").name("s3");
        let params = params.time(time).settings(()).build().unwrap();
        let signed = sign_chunk(&Bytes::copy_from_slice(chunk), last, &params);
        signed.unwrap().into_parts().1
    }
}

/// Encodes text for a path, or for a value in a query.
pub fn escaped(text: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(text, ESCAPED).to_string()
}
