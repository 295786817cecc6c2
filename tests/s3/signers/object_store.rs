//! The crate `object_store`: all requests and presigned URLs of its S3 client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use object_store::{
    ClientOptions, CopyOptions, GetOptions, ObjectStore, PutOptions, PutPayload,
    aws::{AmazonS3, AmazonS3Builder, Checksum},
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService,
    },
    multipart::MultipartStore,
    path::Path,
    signer::{SignedUrlOptions, Signer},
};
use proptest::{prelude::*, sample::subsequence};

use super::{
    full, gate_of_today,
    random::{key_pair, text},
    request_to,
};
use crate::gate::Gate;

/// The gate instead of a network, and the requests that passed it.
#[derive(Clone, Debug)]
struct Network {
    gate: Gate,
    came: Arc<Mutex<Vec<String>>>,
}

impl HttpConnector for Network {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Network {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let uri = head.uri.to_string();
        let mut request = request_to(head.method.as_str(), &uri);
        for (name, value) in &head.headers {
            request = request.header(name, value);
        }
        let answer = self.gate.send(request.body(full(body.clone())).unwrap()).await;
        assert!(answer.status.is_success(), "{} {uri}: {}", head.method, answer.body);
        assert_eq!(answer.verified().body.unwrap(), body);

        let query = head.uri.query().unwrap_or_default();
        let copies = head.headers.contains_key("x-amz-copy-source");
        let (what, answer) = match head.method {
            _ if copies => ("copy", "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"),
            Method::POST if query.starts_with("uploads") => {
                let answer = "<InitiateMultipartUploadResult><UploadId>an id/+= &amp;</UploadId>\
                              </InitiateMultipartUploadResult>";
                ("create", answer)
            }
            Method::POST if query.contains("uploadId") => {
                let answer = "<CompleteMultipartUploadResult><ETag>e</ETag>\
                              </CompleteMultipartUploadResult>";
                ("complete", answer)
            }
            Method::GET if query.contains("list-type") => {
                ("list", "<ListBucketResult></ListBucketResult>")
            }
            Method::PUT if query.contains("uploadId") => ("part", ""),
            Method::PUT => ("put", ""),
            Method::GET => ("get", "0123456789"),
            Method::DELETE => ("delete", ""),
            method => panic!("{method} {uri}"),
        };
        self.came.lock().unwrap().push(what.into());
        let ranged = head.headers.contains_key("range");
        let response = Response::builder()
            .status(if ranged { 206 } else { 200 })
            .header("etag", "e")
            .header("content-range", "bytes 0-9/10")
            .header("content-length", answer.len())
            .header("last-modified", "Fri, 02 Jan 2026 03:04:05 GMT");
        Ok(response.body(HttpResponseBody::from(Bytes::from(answer))).unwrap())
    }
}

/// The settings of the client.
const SETTINGS: [&str; 4] = ["checksum", "in-host", "request-payer", "unsigned-payload"];

fn settings() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(&SETTINGS[..], 0..=SETTINGS.len())
}

fn store(network: &Network, settings: &[&str], access: &str, secret: &str) -> AmazonS3 {
    let host =
        if settings.contains(&"in-host") { "bucket.s3.example.org" } else { "s3.example.org" };
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(format!("http://{host}:8338"))
        .with_virtual_hosted_style_request(settings.contains(&"in-host"))
        .with_bucket_name("bucket")
        .with_region("eu-west-1")
        .with_access_key_id(access)
        .with_secret_access_key(secret)
        .with_allow_http(true)
        .with_unsigned_payload(settings.contains(&"unsigned-payload"))
        .with_request_payer(settings.contains(&"request-payer"))
        .with_http_connector(network.clone());
    if settings.contains(&"checksum") {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    builder.build().unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn all_verify(object: &str, other: &str, settings: &[&str], access: &str, secret: &str) {
    let came = Arc::default();
    let network = Network { gate: gate_of_today(access, secret).await, came };
    let store = store(&network, settings, access, secret);
    // The crate has one spelling for each path, without some characters.
    let (path, other) = (Path::from(format!("a {object}")), Path::from(format!("b {other}")));
    let payload = || PutPayload::from_static(b"0123456789");

    store.put_opts(&path, payload(), PutOptions::default()).await.unwrap();
    store.get_opts(&path, GetOptions::default()).await.unwrap();
    let ranged = GetOptions { range: Some((0..10).into()), ..Default::default() };
    store.get_opts(&path, ranged).await.unwrap();
    store.list_with_delimiter(Some(&path)).await.unwrap();
    store.copy_opts(&path, &other, CopyOptions::default()).await.unwrap();
    let id = store.create_multipart(&path).await.unwrap();
    let part = store.put_part(&path, &id, 0, payload()).await.unwrap();
    store.complete_multipart(&path, &id, vec![part]).await.unwrap();
    store.abort_multipart(&path, &id).await.unwrap();
    let came = network.came.lock().unwrap().join(" ");
    assert_eq!(came, "put get get list copy create part complete delete");

    let minute = Duration::from_mins(1);
    let options = SignedUrlOptions::new()
        .with_query([("uploadId", &*id), ("partNumber", "1")])
        .with_signed_header("x-amz-meta-a".parse().unwrap(), "some  words".parse().unwrap());
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let url = store.signed_url(method.clone(), &path, minute).await.unwrap();
        let request = request_to(method.as_str(), url.as_str());
        network.gate.send(request.body(full("any")).unwrap()).await.verified();

        let url = store.signed_url_opts(method.clone(), &path, minute, &options).await.unwrap();
        let request = request_to(method.as_str(), url.as_str());
        let request = request.header("x-amz-meta-a", " some words ");
        network.gate.send(request.body(full("any")).unwrap()).await.verified();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn object_store_requests_and_presigned_urls_verify(
        object in text(0..16),
        other in text(0..16),
        settings in settings(),
        (access, secret) in key_pair(),
    ) {
        all_verify(&object, &other, &settings, &access, &secret);
    }
}
