//! Which requests are for the wires, and which are the app's.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_credentials::{
    ConfigError, CredentialLayer, auth::StaticTokens, aws::AwsWires, backend::memory::MemoryBackend,
};

use crate::front::{Client, Front, HOST, IAM, STS, form, post};

const IDENTITY: [(&str, &str); 2] = [("Action", "GetCallerIdentity"), ("Version", STS)];

fn get(target: &str) -> Request<Full<Bytes>> {
    Request::get(target).header("host", HOST).body(Full::default()).unwrap()
}

#[tokio::test]
async fn layer_without_the_wires_passes_their_requests() {
    let front = Front::with(|builder| builder).await;
    let client = Client::alice();
    front.sts(&client, &[("Action", "GetCallerIdentity")]).await.passed();
    front.send(post("/", &form(&IDENTITY))).await.passed();
}

#[tokio::test]
async fn requests_of_the_store_at_its_root_pass() {
    let front = Front::new().await;
    let client = Client::alice();
    let mut upload = post("/", "x");
    let multipart = "multipart/form-data; boundary=x".parse().unwrap();
    upload.headers_mut().insert("content-type", multipart);
    let mut delete = post("/?delete", "<Delete/>");
    delete.headers_mut().insert("content-type", "application/xml".parse().unwrap());
    let form_with_query = post("/?delete", "a=b");
    for (what, request) in [
        ("a list of buckets", get("/")),
        ("a signed list of buckets", front.sign(&client, "s3", get("/"))),
        ("an upload of a form to a bucket in the host", upload.clone()),
        ("a deletion of many objects", delete.clone()),
        ("a signed deletion of many objects", front.sign(&client, "s3", delete)),
        ("a form with a query", form_with_query),
        ("a form that is signed for S3", front.sign(&client, "s3", post("/", &form(&IDENTITY)))),
        ("a form elsewhere", post("/bucket", &form(&IDENTITY))),
        ("a signature for STS elsewhere", front.sign(&client, "sts", post("/bucket", "x"))),
        ("a path with two slashes", post("//", &form(&IDENTITY))),
        ("a query that is not an action", get("/?Action=GetCallerIdentity")),
        ("a token of another scheme", {
            let mut request = post("/", "a=b");
            request.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
            request
        }),
    ] {
        let answer = front.send(request).await;
        assert_eq!(answer.status, 418, "{what}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_form_of_signature_finds_its_api() {
    let front = Front::new().await;
    let client = Client::alice();
    front.send(front.sign(&client, "sts", post("/", &form(&IDENTITY)))).await.ok();
    // Neither API has the actions of the other one.
    let user = form(&[("Action", "GetUser"), ("Version", IAM)]);
    front.send(front.sign(&client, "sts", post("/", &user))).await.refused(400, "InvalidAction");
    front
        .send(front.sign(&client, "iam", post("/", &form(&IDENTITY))))
        .await
        .refused(400, "InvalidAction");
    front.send(front.sign(&client, "iam", post("/", &user))).await.ok();
}

#[tokio::test]
async fn wires_at_a_path_of_their_own_leave_the_root_to_the_app() {
    let front = Front::with(|builder| builder.aws(AwsWires::new().path("/aws"))).await;
    let client = Client::alice();
    for path in ["/aws", "/aws/"] {
        front.send(front.sign(&client, "sts", post(path, &form(&IDENTITY)))).await.ok();
        front.send(post(path, &form(&IDENTITY))).await.refused(403, "MissingAuthenticationToken");
        // A bucket may have the name of the path.
        front.send(front.sign(&client, "s3", get(path))).await.passed();
    }
    // The app's own form, and what is signed for another place.
    front.send(post("/", "user=alice&password=x")).await.passed();
    front.send(front.sign(&client, "sts", post("/", &form(&IDENTITY)))).await.passed();
    front.send(post("/awsome", "a=b")).await.passed();
    front.send(post("/aws/x", "a=b")).await.passed();
}

#[tokio::test]
async fn wires_at_a_host_of_their_own_leave_other_hosts_to_the_app() {
    let front = Front::with(|builder| builder.aws(AwsWires::new().host("sts.example.org"))).await;
    let client = Client::alice();
    let to = |host: &str, target: &str| {
        let mut request = post(target, &form(&IDENTITY));
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };
    front.send(front.sign(&client, "sts", to("sts.example.org", "/"))).await.ok();
    front.send(front.sign(&client, "sts", to("STS.example.org:9000", "/"))).await.ok();
    front.send(front.sign(&client, "sts", to(HOST, "/"))).await.passed();
    front.send(to(HOST, "/")).await.passed();
    front.send(to("sts.example.org", "/bucket")).await.passed();
}

#[test]
fn settings_that_cannot_work_are_rejected() {
    let build = |wires: AwsWires| {
        let layer = CredentialLayer::builder(StaticTokens::new(), MemoryBackend::default());
        layer.aws(wires).build().err()
    };
    assert_eq!(build(AwsWires::new()), None);
    for path in ["aws", "/aws/", "/", "", "/a b", "/%61"] {
        assert_eq!(
            build(AwsWires::new().path(path)),
            Some(ConfigError::InvalidPrefix(path.into()))
        );
    }
    let overlap = ConfigError::OverlappingPrefixes("/v3".into(), "/v3/aws".into());
    assert_eq!(build(AwsWires::new().path("/v3/aws")), Some(overlap));
    for id in ["", "12345678901", "1234567890123", "12345678901x"] {
        let error = ConfigError::InvalidAccountId(id.into());
        assert_eq!(build(AwsWires::new().account_id(id)), Some(error));
    }
    assert!(build(AwsWires::new().host("a/b")).is_some());
    assert!(build(AwsWires::new().path("/aws").host("sts.example.org")).is_some());
}
