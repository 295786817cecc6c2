//! Uploads with HTML forms.

use test_support::{http::Client, keys, signing::Signing};

use crate::lab::Lab;

#[tokio::test]
async fn form_selects_its_response_and_sets_headers() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let fields =
        [("key", "up/${filename}"), ("Content-Type", "text/x-poem"), ("x-amz-meta-color", "red")];
    let answer = alice.post_form("demo", &fields, "poem").await.expect(204);
    assert_eq!(answer.header("location"), "/demo/up%2Fa%20b%2Etxt");
    let got = alice.get("demo/up/a%20b.txt").await.expect(200);
    let headers = (got.header("content-type"), got.header("x-amz-meta-color"));
    assert_eq!((headers, got.text().as_str()), (("text/x-poem", "red"), "poem"));

    let with = |name, value| [("key", "object"), (name, value)];
    let answer =
        alice.post_form("demo", &with("success_action_status", "201"), "1").await.expect(201);
    assert_eq!(
        (answer.all("Bucket"), answer.all("Key")),
        (vec!["demo".into()], vec!["object".into()])
    );
    alice.post_form("demo", &with("success_action_status", "200"), "1").await.expect(200);
    alice.post_form("demo", &with("success_action_status", "500"), "1").await.expect(204);
    let back = with("success_action_redirect", "http://app.example/done?x=1");
    let answer = alice.post_form("demo", &back, "1").await.expect(303);
    let target = "http://app.example/done?x=1&bucket=demo&key=object&etag=%22";
    assert!(answer.header("location").starts_with(target), "{answer:?}");
}

#[tokio::test]
async fn form_has_only_the_rights_of_its_key() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    let carol = lab.holder("dev-carol").await;
    let fields = [("key", "object")];
    carol.post_form("demo", &fields, "carol's").await.fails(403, "AccessDenied");
    alice.post_form("absent", &fields, "1").await.fails(404, "NoSuchBucket");
    let wrong = keys::Key { secret: "wrong".into(), ..alice.key.clone() };
    let wrong = Signing { key: wrong, client: Client::http2(&alice.url), url: alice.url.clone() };
    wrong.post_form("demo", &fields, "1").await.fails(403, "SignatureDoesNotMatch");
    assert_eq!(alice.get("demo").await.all("Key"), [""; 0]);
}
