//! Keys with Amazon's own signer, the crate `aws-sigv4`, over HTTP/2.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::{SigningParams, sign_chunk},
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tower_credentials::clock::{Clock, SystemClock};

use super::{
    http::{Answer, Client},
    keys::Key,
    lifecycle::{self, Holder},
};

/// What the hash of a body is said to be that comes in signed chunks.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

#[tokio::test]
async fn aws_sigv4_over_http_2_uses_a_key_of_any_origin_until_it_is_disabled() {
    lifecycle::of_keys(&[], async |Holder { url, bucket, key }| {
        let signer = Signer { client: Client::http2(&url), url, key };
        let answer = signer.send(Method::GET, "", Bytes::new()).await;
        if answer.status == 403 {
            return Err(answer.text());
        }
        if !answer.expect(200).text().contains(&format!("<Name>{bucket}</Name>")) {
            signer.send(Method::PUT, &bucket, Bytes::new()).await.expect(200);
        }
        // What must be encoded is encoded once, and so it is signed.
        let object = format!("{bucket}/fo%20lder/%C3%BC%2B~/./x");
        signer.send(Method::PUT, &object, Bytes::from_static(b"one")).await.expect(200);
        assert_eq!(signer.send(Method::GET, &object, Bytes::new()).await.expect(200).text(), "one");

        let content = Bytes::from(vec![b'a'; 150_000]);
        signer.send_in_chunks(&object, &content, false).await.expect(200);
        let answer = signer.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        // A chunk that is not the signed one is refused, and nothing is kept.
        let answer = signer.send_in_chunks(&object, &content, true).await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
        let answer = signer.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        Ok(())
    })
    .await;
}

struct Signer {
    client: Client,
    url: String,
    key: Key,
}

impl Signer {
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Answer {
        let signable = SignableBody::Bytes(&body);
        let request = Request::builder().method(method).uri(format!("{}/{path}", self.url));
        let (request, _) = self.sign(request.body(body.clone()).unwrap(), signable, now());
        self.client.try_send(request.map(Full::new)).await.unwrap()
    }

    /// Puts an object in chunks of 64 KiB; perhaps with a byte that was changed after
    /// it was signed.
    async fn send_in_chunks(&self, path: &str, content: &Bytes, changed: bool) -> Answer {
        let request = Request::put(format!("{}/{path}", self.url))
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", content.len());
        let (body, time) = (SignableBody::Precomputed(CHUNKS.into()), now());
        let (request, seed) = self.sign(request.body(Bytes::new()).unwrap(), body, time);
        let (mut body, mut signature) = (Vec::new(), seed);
        for chunk in content.chunks(64 << 10).chain([&[][..]]) {
            let chunk = Bytes::copy_from_slice(chunk);
            let signed = self.with_params(time, |params| sign_chunk(&chunk, &signature, &params));
            signature = signed.unwrap().into_parts().1;
            let head = format!("{:x};chunk-signature={signature}\r\n", chunk.len());
            body.extend([head.as_bytes(), &chunk, b"\r\n"].concat());
        }
        if changed {
            body[100_000] = b'b';
        }
        let request = request.map(|_| Full::new(Bytes::from(body)));
        self.client.try_send(request).await.unwrap()
    }

    /// The request with its signature, which is returned too.
    fn sign(
        &self,
        mut request: Request<Bytes>,
        body: SignableBody<'_>,
        time: SystemTime,
    ) -> (Request<Bytes>, String) {
        let uri = request.uri().to_string();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable = SignableRequest::new(request.method().as_str(), uri, headers, body).unwrap();
        let signed = self.with_params(time, |params| sign(signable, &params.into()));
        let (instructions, signature) = signed.unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        (request, signature)
    }

    /// What to sign with, as S3 wants to be signed for.
    fn with_params<T>(
        &self,
        time: SystemTime,
        signs: impl FnOnce(SigningParams<'_, SigningSettings>) -> T,
    ) -> T {
        let Key { access, secret } = &self.key;
        let identity = Credentials::new(access, secret, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder().identity(&identity).region("us-east-1").name("s3");
        signs(params.time(time).settings(settings).build().unwrap())
    }
}

fn now() -> SystemTime {
    SystemClock.now()
}
