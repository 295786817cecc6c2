//! The crate `rusty-s3`, which presigns URLs.

use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use rusty_s3::{
    Bucket, Credentials, S3Action, UrlStyle,
    actions::{
        AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, DeleteObject,
        GetObject, HeadObject, ListObjectsV2, ListParts, PutObject, UploadPart,
    },
};

use super::{
    full, gate_of_today,
    random::{key_pair, text},
    request_to,
};
use crate::gate::Gate;

const HOUR: Duration = Duration::from_hours(1);

/// The requested action.
#[derive(Clone, Debug)]
struct Wanted {
    object: String,
    upload: String,
    content_type: String,
    query: (String, String),
}

/// Signs an action with an additional parameter and header, and sends it.
async fn send<'a, A: S3Action<'a>>(gate: &Gate, wanted: &'a Wanted, mut action: A, method: Method) {
    let (name, value) = &wanted.query;
    action.query_mut().insert(&**name, &**value);
    action.headers_mut().insert("x-amz-meta-type", &*wanted.content_type);
    let url = action.sign(HOUR);
    let request = request_to(method.as_str(), url.as_str());
    let request = request.header("x-amz-meta-type", &wanted.content_type);
    let answer = gate.send(request.body(full("")).unwrap()).await;
    assert!(answer.reached.is_some(), "{url}: {:?} {}", answer.code, answer.body);
    answer.verified();
}

#[tokio::main(flavor = "current_thread")]
async fn all_verify(wanted: &Wanted, style: UrlStyle, access: &str, secret: &str) {
    let gate = gate_of_today(access, secret).await;
    let endpoint = "http://s3.example.org:8338".parse().unwrap();
    let bucket = Bucket::new(endpoint, style, "bucket", "eu-west-1").unwrap();
    let key = Credentials::new(access, secret);
    let (b, k, o, u) = (&bucket, Some(&key), &*wanted.object, &*wanted.upload);

    send(&gate, wanted, GetObject::new(b, k, o), Method::GET).await;
    send(&gate, wanted, HeadObject::new(b, k, o), Method::HEAD).await;
    send(&gate, wanted, PutObject::new(b, k, o), Method::PUT).await;
    send(&gate, wanted, DeleteObject::new(b, k, o), Method::DELETE).await;
    let mut list = ListObjectsV2::new(b, k);
    list.with_prefix(o);
    list.with_start_after(u);
    send(&gate, wanted, list, Method::GET).await;
    send(&gate, wanted, CreateMultipartUpload::new(b, k, o), Method::POST).await;
    send(&gate, wanted, UploadPart::new(b, k, o, 7, u), Method::PUT).await;
    send(&gate, wanted, ListParts::new(b, k, o, u), Method::GET).await;
    send(&gate, wanted, AbortMultipartUpload::new(b, k, o, u), Method::DELETE).await;
    let complete = CompleteMultipartUpload::new(b, k, o, u, ["\"etag\""].into_iter());
    send(&gate, wanted, complete, Method::POST).await;
}

fn wanted() -> impl Strategy<Value = Wanted> {
    // The crate sorts names before it encodes them. Only names without escapes are signed as
    // Amazon signs them.
    let query = ("[a-zA-Z0-9._~-]{1,8}", text(0..8));
    (text(1..16), text(0..16), "[!-~]{1,8}( [!-~]{1,8})?", query).prop_map(
        |(object, upload, content_type, query)| Wanted { object, upload, content_type, query },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rusty_s3_presigned_urls_verify(
        wanted in wanted(),
        in_host in any::<bool>(),
        (access, secret) in key_pair(),
    ) {
        let style = if in_host { UrlStyle::VirtualHost } else { UrlStyle::Path };
        all_verify(&wanted, style, &access, &secret);
    }
}
