//! The log contains one line for each change of a credential and for each request, and no secret at
//! any level.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use test_support::{
    clients::rusty_s3::Store,
    keys::{self, Key, Origin, create, secret_of},
    process::{Running, Server},
};

use crate::ACCESSER;

/// Performs all operations; returns the secrets that must not be logged.
async fn run_all(accesser: &Running) -> Vec<String> {
    let client = accesser.client();
    let mut secrets: Vec<String> =
        ["dev-admin", "dev-alice", "dev-bob", "not-a-token"].map(String::from).to_vec();
    for (bucket, origin) in ["ibm", "ec2", "s3s"].into_iter().zip(Origin::ALL) {
        let key = origin.mint(&client).await;
        let store = Store::new(&client, &accesser.url, bucket, &key);
        store.create().await.expect(200);
        let url = store.put_url("object");
        client.send(Method::PUT, &url, "body").await.expect(200);
        secrets.push(url.split("X-Amz-Signature=").nth(1).unwrap().to_owned());
        keys::set_status(&client, &key, "Inactive").await;
        store.list().await.refused("InvalidAccessKeyId");
        keys::set_status(&client, &key, "Active").await;
        let wrong = Key { secret: "a-wrong-secret".into(), ..key.clone() };
        let wrong_store = Store::new(&client, &accesser.url, bucket, &wrong);
        wrong_store.list().await.refused("SignatureDoesNotMatch");
        origin.delete(&client, &key).await;
        secrets.extend([key.secret, wrong.secret]);
    }

    // Rejected requests are not changes.
    create(&client, "twice").await.expect(201);
    create(&client, "twice").await.expect(409);
    secrets.push(secret_of("twice"));
    client.get("/credentials", "not-a-token").await.expect(401);
    let broken = json!({"credential": {"type": "ec2", "blob": "{\"secret\": \"broken-secret"}});
    client.post("/credentials", "dev-alice", &broken).await.expect(400);
    let invalid = json!({"credential": {"type": "ec2", "blob": {"access": "a b", "secret": "broken-secret"}}});
    client.post("/credentials", "dev-alice", &invalid).await.expect(400);
    secrets.push("broken-secret".into());

    // All ways to present a token; `alice:dev-alice` and `alice:dev-wrong`.
    let basics = ["YWxpY2U6ZGV2LWFsaWNl", "YWxpY2U6ZGV2LXdyb25n"];
    for basic in basics.map(|basic| format!("Basic {basic}")) {
        let url = format!("{}/credentials", accesser.url);
        let request = Request::get(url).header("Authorization", basic);
        client.try_send(request.body(Full::default()).unwrap()).await.unwrap();
    }
    secrets.extend(basics.map(String::from));
    let url = format!("{}/credentials", accesser.url);
    let request = Request::get(url).header("Authorization", "Bearer bearer-token");
    client.try_send(request.body(Full::default()).unwrap()).await.unwrap().expect(401);
    secrets.extend(["bearer-token".into(), "dev-wrong".into()]);
    secrets
}

fn assert_not_logged(log: &str, secrets: &[String]) {
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "{secret:?} is in the log");
    }
}

#[tokio::test]
async fn each_change_of_a_credential_is_one_log_line() {
    let accesser = Server::new(ACCESSER).start().await;
    let secrets = run_all(&accesser).await;
    accesser.logged("the change feed of the credential store is connected", 1).await;
    let log = accesser.stderr();
    let changes = |what: &str| log.matches(&format!("credential {what}")).count();
    assert_eq!((changes("created"), changes("updated"), changes("deleted")), (4, 6, 3), "{log}");
    assert_eq!(changes("create refused"), 3, "{log}");
    // The other lines: the warning about the tokens, the five migrations of a new file, and the
    // start of its change feed. Each request is a line too.
    let others = log.lines().filter(|line| !line.contains(" requests: request method=")).count();
    assert_eq!(others, 4 + 6 + 3 + 3 + 7, "{log}");
    assert_not_logged(&log, &secrets);
}

#[tokio::test]
async fn no_secret_is_logged_at_trace_level() {
    let accesser = Server::new(ACCESSER).log("trace").start().await;
    let mut secrets = run_all(&accesser).await;
    let log = accesser.stderr();
    assert!(log.contains(" DEBUG ") && log.contains("s3s::service: req="));
    // Below `info`, the crate `s3s` logs whole requests, with the signatures of presigned ones.
    secrets.retain(|secret| !is_signature(secret));
    assert_not_logged(&log, &secrets);
}

#[tokio::test]
async fn no_signature_is_logged_without_the_logs_of_s3s() {
    let accesser = Server::new(ACCESSER).log("trace,s3s=info,s3s_fs=info").start().await;
    let secrets = run_all(&accesser).await;
    let log = accesser.stderr();
    assert!(log.contains(" DEBUG ") && secrets.iter().any(|secret| is_signature(secret)));
    assert_not_logged(&log, &secrets);
}

fn is_signature(secret: &str) -> bool {
    secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
#[should_panic(expected = "is in the log")]
fn check_finds_a_secret_in_the_log() {
    assert_not_logged("one\nwith=a-secret\n", &["a-secret".into()]);
}
