//! Uploads by forms.

use std::fmt::Write;

use data_encoding::BASE64;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::{
    clients::{
        http::{Answer, Client},
        keys,
        signing::Signing,
    },
    lab::Lab,
    signer,
};

const DAY: &str = "20260101";

/// Posts a file to a bucket by a form with these fields, all of which are signed.
async fn post(who: &Signing, bucket: &str, fields: &[(&str, &str)], file: &str) -> Answer {
    let scope = format!("{DAY}/us-east-1/s3/aws4_request");
    let (credential, date) = (format!("{}/{scope}", who.key.access), format!("{DAY}T000000Z"));
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
    let signature = signer::v4(&who.key.secret, &scope, &policy);
    fields.extend([("policy", &*policy), ("x-amz-signature", &*signature)]);
    let head = "--b\r\nContent-Disposition: form-data; name=";
    let mut body = String::new();
    for (name, value) in fields {
        let _ = write!(body, "{head}\"{name}\"\r\n\r\n{value}\r\n");
    }
    let _ = write!(body, "{head}\"file\"; filename=\"a b.txt\"\r\n\r\n{file}\r\n--b--\r\n");
    let request = Request::post(format!("{}/{bucket}", who.url))
        .header("content-type", "multipart/form-data; boundary=b");
    who.client.try_send(request.body(Full::from(body)).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_form_is_answered_as_it_asks_and_its_fields_are_kept() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let fields =
        [("key", "up/${filename}"), ("Content-Type", "text/x-poem"), ("x-amz-meta-colour", "red")];
    let answer = post(&alice, "demo", &fields, "poem").await.expect(204);
    assert_eq!(answer.header("location"), "/demo/up%2Fa%20b%2Etxt");
    let got = alice.get("demo/up/a%20b.txt").await.expect(200);
    let told = (got.header("content-type"), got.header("x-amz-meta-colour"));
    assert_eq!((told, got.text().as_str()), (("text/x-poem", "red"), "poem"));

    let with = |name, value| [("key", "object"), (name, value)];
    let answer = post(&alice, "demo", &with("success_action_status", "201"), "1").await.expect(201);
    assert_eq!(
        (answer.all("Bucket"), answer.all("Key")),
        (vec!["demo".into()], vec!["object".into()])
    );
    post(&alice, "demo", &with("success_action_status", "200"), "1").await.expect(200);
    post(&alice, "demo", &with("success_action_status", "500"), "1").await.expect(204);
    let back = with("success_action_redirect", "http://app.example/done?x=1");
    let answer = post(&alice, "demo", &back, "1").await.expect(303);
    let target = "http://app.example/done?x=1&bucket=demo&key=object&etag=%22";
    assert!(answer.header("location").starts_with(target), "{answer:?}");
}

#[tokio::test]
async fn a_form_gets_no_further_than_its_key() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let carol = lab.holder("dev-carol").await;
    let fields = [("key", "object")];
    post(&carol, "demo", &fields, "carol's").await.fails(403, "AccessDenied");
    post(&alice, "absent", &fields, "1").await.fails(404, "NoSuchBucket");
    let wrong = keys::Key { secret: "wrong".into(), ..alice.key.clone() };
    let wrong = Signing { key: wrong, client: Client::http2(&alice.url), url: alice.url.clone() };
    post(&wrong, "demo", &fields, "1").await.fails(403, "SignatureDoesNotMatch");
    assert_eq!(alice.get("demo").await.all("Key"), [""; 0]);
}
