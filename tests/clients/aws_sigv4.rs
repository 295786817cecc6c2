//! Keys with Amazon's own signer, the crate `aws-sigv4`, over HTTP/2.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{SigningParams, sign_chunk};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use tower_credentials::clock::{Clock, SystemClock};

use super::{
    aws_signer::Signer,
    http::{Answer, Client},
    keys::Key,
    lifecycle::{self, Holder},
};

/// What the hash of a body is said to be that comes in signed chunks.
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

#[tokio::test]
async fn aws_sigv4_over_http_2_uses_a_key_of_any_origin_until_it_is_disabled() {
    lifecycle::of_keys(&[], async |Holder { url, bucket, key }| {
        let holder = Signing { client: Client::http2(&url), url, key };
        let answer = holder.send(Method::GET, "", Bytes::new()).await;
        if answer.status == 403 {
            return Err(answer.text());
        }
        if !answer.expect(200).text().contains(&format!("<Name>{bucket}</Name>")) {
            holder.send(Method::PUT, &bucket, Bytes::new()).await.expect(200);
        }
        // What must be encoded is encoded once, and so it is signed.
        let object = format!("{bucket}/fo%20lder/%C3%BC%2B~/./x");
        holder.send(Method::PUT, &object, Bytes::from_static(b"one")).await.expect(200);
        assert_eq!(holder.send(Method::GET, &object, Bytes::new()).await.expect(200).text(), "one");

        let content = Bytes::from(vec![b'a'; 150_000]);
        holder.send_in_chunks(&object, &content, false).await.expect(200);
        let answer = holder.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        // A chunk that is not the signed one is refused, and nothing is kept.
        let answer = holder.send_in_chunks(&object, &content, true).await;
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
        let answer = holder.send(Method::GET, &object, Bytes::new()).await.expect(200);
        assert!(answer.body == content);
        Ok(())
    })
    .await;
}

struct Signing {
    client: Client,
    url: String,
    key: Key,
}

impl Signing {
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}/{path}", self.url));
        let signer = self.signer(SystemClock.now()).body(body.clone());
        let (request, _) = signer.sign(request.body(Full::new(body)).unwrap());
        self.client.try_send(request).await.unwrap()
    }

    /// Puts an object in chunks of 64 KiB; perhaps with a byte that was changed after
    /// it was signed.
    async fn send_in_chunks(&self, path: &str, content: &Bytes, changed: bool) -> Answer {
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

    fn signer(&self, time: SystemTime) -> Signer {
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
