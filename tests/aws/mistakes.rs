//! Signatures: mistakes of other stores, each as a test.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use test_support::aws_signer::Signer;
use tower_credentials::{
    aws::AwsWires,
    clock::Clock,
    directory::{Project, StaticDirectory, User},
    domain::{ProjectId, UserId},
};

use crate::front::{ACCESS, Client, Front, HOST, SECRET, STS, form, post};

const IDENTITY: [(&str, &str); 1] = [("Action", "GetCallerIdentity")];

fn body() -> String {
    form(&[("Action", "GetCallerIdentity"), ("Version", STS)])
}

#[tokio::test]
async fn request_without_a_signature_is_refused_in_body_and_query_by_get_and_post() {
    let front = Front::with(|builder| builder.aws(AwsWires::new().path("/aws"))).await;
    for action in
        ["GetCallerIdentity", "AssumeRole", "GetSessionToken", "CreateAccessKey", "ListUsers"]
    {
        let params = form(&[("Action", action), ("Version", STS)]);
        front.send(post("/aws", &params)).await.refused(403, "MissingAuthenticationToken");
        for method in ["GET", "POST"] {
            let request = Request::builder().method(method).uri(format!("/aws?{params}"));
            let request = request.header("host", HOST).body(Full::default()).unwrap();
            front.send(request).await.refused(403, "MissingAuthenticationToken");
        }
    }
}

#[tokio::test]
async fn version_2_and_presigned_requests_are_refused() {
    let front = Front::new().await;
    let v2 = form(&[
        ("AWSAccessKeyId", ACCESS),
        ("Action", "GetCallerIdentity"),
        ("Signature", "x"),
        ("SignatureMethod", "HmacSHA256"),
        ("SignatureVersion", "2"),
        ("Version", STS),
    ]);
    front.send(post("/", &v2)).await.refused(403, "MissingAuthenticationToken");
    let signer = Signer::new(ACCESS, SECRET, front.clock.now()).service("sts");
    let signer = signer.presigning(Duration::from_mins(1));
    let presigned = Request::get(format!("/?{}", body())).header("host", HOST);
    let presigned = signer.sign(presigned.body(Full::<Bytes>::default()).unwrap()).0;
    front.send(presigned).await.refused(403, "MissingAuthenticationToken");
}

#[tokio::test]
async fn every_web_identity_is_refused_alike() {
    let front = Front::new().await;
    let params = |token: &str| {
        form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", "arn:aws:iam::000000000000:role/x"),
            ("RoleSessionName", "WebIdentitySession"),
            ("Version", STS),
            ("WebIdentityToken", token),
        ])
    };
    let mut bodies = Vec::new();
    for token in ["x.y.z", "", "eyJhbGciOiJub25lIn0.e30."] {
        let params = params(token);
        // With and without a body, by `POST` and `GET`, as clients send it.
        for request in [
            post("/", &params),
            Request::post(format!("/?{params}"))
                .header("host", HOST)
                .body(Full::default())
                .unwrap(),
            Request::get(format!("/?{params}")).header("host", HOST).body(Full::default()).unwrap(),
            front.sign(&Client::alice(), "sts", post("/", &params)),
        ] {
            let answer = front.send(request).await;
            answer.refused(400, "InvalidIdentityToken");
            bodies.push(answer.body());
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn region_may_be_empty_and_is_any() {
    let front = Front::new().await;
    for region in ["", "eu-west-1", "anything"] {
        let mut signer = Signer::new(ACCESS, SECRET, front.clock.now()).service("sts").body(body());
        signer.region = region.into();
        front.send(signer.sign(post("/", &body())).0).await.ok();
    }
}

#[tokio::test]
async fn declared_hash_must_be_that_of_the_body() {
    let front = Front::new().await;
    let send = async |declared: &str| {
        let mut request = post("/", &body());
        request.headers_mut().insert("x-amz-content-sha256", declared.parse().unwrap());
        front.send(front.sign(&Client::alice(), "sts", request)).await
    };
    let right = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(body()));
    send(&right).await.ok();
    for wrong in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        &right.to_uppercase(),
        &"0".repeat(64),
        "",
    ] {
        send(wrong).await.refused(403, "SignatureDoesNotMatch");
    }
}

#[tokio::test]
async fn changed_request_does_not_verify() {
    let front = Front::new().await;
    let client = Client::alice();
    let signed = || front.signed(&client, "sts", STS, &IDENTITY);
    front.send(signed()).await.ok();
    let mut changed = signed();
    *changed.body_mut() = Full::from(body().replace("GetCallerIdentity", "GetSessionToken"));
    front.send(changed).await.refused(403, "SignatureDoesNotMatch");
    let mut other_host = signed();
    other_host.headers_mut().insert("host", "other.example.org".parse().unwrap());
    front.send(other_host).await.refused(403, "SignatureDoesNotMatch");
    let mut more = signed();
    *more.uri_mut() = "/?x=1".parse().unwrap();
    front.send(more).await.refused(403, "SignatureDoesNotMatch");
    let mut type_changed = signed();
    type_changed
        .headers_mut()
        .insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    front.send(type_changed).await.refused(403, "SignatureDoesNotMatch");
    let mut header = signed();
    header.headers_mut().insert("x-amz-acl", "private".parse().unwrap());
    front.send(header).await.refused(400, "IncompleteSignature");
    let mut malformed = signed();
    let authorization =
        malformed.headers()["authorization"].to_str().unwrap().replace("SignedHeaders", "Signed");
    malformed.headers_mut().insert("authorization", authorization.parse().unwrap());
    front.send(malformed).await.refused(400, "IncompleteSignature");
}

#[tokio::test]
async fn old_and_early_requests_do_not_verify() {
    let front = Front::new().await;
    let client = Client::alice();
    let (skew, second) = (Duration::from_mins(15), Duration::from_secs(1));
    let signed = front.signed(&client, "sts", STS, &IDENTITY);
    front.clock.advance(skew);
    front.send(signed.clone()).await.ok();
    front.clock.advance(second);
    front.send(signed.clone()).await.refused(403, "SignatureDoesNotMatch");
    front.clock.put_back(skew + skew + second);
    front.send(signed.clone()).await.ok();
    front.clock.put_back(second);
    front.send(signed).await.refused(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn key_and_token_must_belong_together() {
    let front = Front::new().await;
    let assume = [("Action", "AssumeRole")];
    let one = front.sts(&Client::alice(), &assume).await.issued();
    let other = front.sts(&Client::alice(), &assume).await.issued();
    let token =
        |token: &str, client: &Client| Client { token: Some(token.into()), ..client.clone() };
    let own = one.token.clone().unwrap();
    for client in [
        Client { token: None, ..one.clone() },
        token(other.token.as_ref().unwrap(), &one),
        token(&own, &Client::alice()),
        token(&own[..own.len() - 1], &one),
        token("token", &one),
        token("", &one),
    ] {
        front.sts(&client, &IDENTITY).await.refused(403, "InvalidClientTokenId");
    }
    let wrong = Client { secret: "x".repeat(40), ..one.clone() };
    front.sts(&wrong, &IDENTITY).await.refused(403, "SignatureDoesNotMatch");
    // Two tokens, and one that is not signed.
    let mut twice = front.signed(&one, "sts", STS, &IDENTITY);
    twice.headers_mut().append("x-amz-security-token", own.parse().unwrap());
    front.send(twice).await.refused(400, "IncompleteSignature");
    let mut unsigned = front.signed(&Client::alice(), "sts", STS, &IDENTITY);
    unsigned.headers_mut().insert("x-amz-security-token", own.parse().unwrap());
    front.send(unsigned).await.refused(400, "IncompleteSignature");
}

#[tokio::test]
async fn end_of_a_session_is_told_after_its_signature_proved_right() {
    let front = Front::new().await;
    let session = front.sts(&Client::alice(), &[("Action", "AssumeRole")]).await.issued();
    front.clock.advance(Duration::from_hours(1));
    front.sts(&session, &IDENTITY).await.refused(403, "ExpiredToken");
    let wrong = Client { secret: "x".repeat(40), ..session };
    front.sts(&wrong, &IDENTITY).await.refused(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn signer_needs_a_place_in_the_project_of_its_key() {
    let knows = StaticDirectory::new()
        .with_user(User::new(UserId::new("alice").unwrap(), "Alice"))
        .with_project(Project::new(ProjectId::new("demo").unwrap(), "Demo"));
    let front = Front::with(|builder| builder.aws(AwsWires::new()).directory(knows)).await;
    for action in ["GetCallerIdentity", "AssumeRole"] {
        let answer = front.sts(&Client::alice(), &[("Action", action)]).await;
        answer.refused(403, "InvalidClientTokenId");
    }
    front
        .iam(&Client::alice(), &[("Action", "GetUser")])
        .await
        .refused(403, "InvalidClientTokenId");
}
