//! Bucket names in hosts.

use http::{HeaderValue, Method, Request, header::HOST};
use http_body_util::Full;
use test_support::{
    http::{Answer, Client},
    signing::Signing,
};
use tower_credentials::clock::{Clock, SystemClock};

use crate::lab::Lab;

/// Sends a request with another host to the server.
async fn send(who: &Signing, method: Method, host: &str, path: &str, body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(format!("http://{host}{path}"));
    let signer = who.signer(SystemClock.now()).body(body);
    let (mut request, _) = signer.sign(request.body(Full::from(body)).unwrap());
    request.headers_mut().insert(HOST, HeaderValue::try_from(host).unwrap());
    *request.uri_mut() = format!("{}{path}", who.url).parse().unwrap();
    who.client.try_send(request).await.unwrap()
}

#[tokio::test]
async fn host_below_the_base_domain_selects_a_bucket() {
    let lab = Lab::start(&["--base-domain", "S3.example.test"]).await;
    let alice = lab.alice().await;
    let alice = Signing { client: Client::new(&alice.url), ..alice };
    let (bucket, whole) = ("demo.s3.Example.test:8080", "s3.example.test");
    send(&alice, Method::PUT, bucket, "/demo/object", "one").await.expect(200);
    assert_eq!(send(&alice, Method::GET, bucket, "/", "").await.all("Key"), ["demo/object"]);
    let answer = send(&alice, Method::GET, whole, "/demo/demo/object", "").await.expect(200);
    assert_eq!(answer.text(), "one");
    assert_eq!(send(&alice, Method::GET, whole, "/", "").await.all("Name"), ["demo"]);
    // Not below the domain.
    let other = send(&alice, Method::GET, "demos3.example.test", "/demo", "").await.expect(200);
    assert_eq!(other.all("Key"), ["demo/object"]);
    send(&alice, Method::PUT, "new.s3.example.test", "/", "").await.expect(200);
    assert_eq!(send(&alice, Method::GET, whole, "/", "").await.all("Name"), ["demo", "new"]);
}
