//! STS and IAM of the accesser: where they are served, the roles of the identities file, and the log.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use test_support::{
    aws_signer::Signer,
    http::{Answer, Client},
    keys::{Key, mint},
    process::{Running, Server},
};
use tower_credentials::clock::{Clock, SystemClock};

use crate::{
    ACCESSER,
    identities::{PEOPLE, token, with_identities},
};

const ARN: &str = "arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Freader";
const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

const ASSIGNMENT: &str = r#"
    [[assignments]]
    user_id = "d4e2dd1a9d0f4e0f8a1c3b5a7f9e1d2c"
    project_id = "p1"
    roles = ["key_management_user"]
"#;

const ROLE: &str = r#"
    [[roles]]
    arn = "arn:aws:iam::000000000000:role/reader"
    boundary = '{"permission": "read", "buckets": ["lake"]}'
    max_duration = 7200
    projects = ["p1"]
"#;

const HASHED: &str = "token = \"token-of-dana\"";

/// Sends signed parameters to a path.
async fn send(server: &Running, key: &Key, service: &str, path: &str, params: &str) -> Answer {
    let request = Request::post(format!("{}{path}", server.url))
        .header("content-type", "application/x-www-form-urlencoded");
    let signer = Signer::new(&key.access, &key.secret, SystemClock.now()).service(service);
    let request = request.body(Full::from(params.to_owned())).unwrap();
    Client::new(&server.url).try_send(signer.body(params).sign(request).0).await.unwrap()
}

async fn sts(server: &Running, key: &Key, params: &str) -> Answer {
    send(server, key, "sts", "/", params).await
}

/// The text of the first element of this name.
fn text(answer: &Answer, name: &str) -> String {
    let body = answer.text();
    let rest = body.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("{body}"));
    rest.split('<').next().unwrap().to_owned()
}

/// A key of dana's, made with a token of the identities file.
async fn key_of_dana(server: &Running) -> Key {
    mint(&server.client(), "token-of-dana").await
}

fn people() -> String {
    PEOPLE.to_owned() + &token(HASHED) + ASSIGNMENT
}

#[tokio::test]
async fn wires_are_on_with_the_development_identities_and_off_with_others() {
    let server = Server::new(ACCESSER).start().await;
    let key = mint(&server.client(), "dev-alice").await;
    let answer = sts(&server, &key, IDENTITY).await.expect(200);
    let arn = "arn:aws:iam::000000000000:user/bb5476fd12884539b41d5a88f838d773";
    assert_eq!(text(&answer, "Arn"), arn);
    let user = "Action=GetUser&Version=2010-05-08";
    send(&server, &key, "iam", "/", user).await.expect(200);

    let server = Server::new(ACCESSER).arguments(&["--aws-wires=off"]).start().await;
    let key = mint(&server.client(), "dev-alice").await;
    assert_ne!(sts(&server, &key, IDENTITY).await.status, 200);

    let (accesser, _) = with_identities(&people());
    let server = accesser.start().await;
    let key = key_of_dana(&server).await;
    assert_ne!(sts(&server, &key, IDENTITY).await.status, 200);
}

#[tokio::test]
async fn wires_have_the_place_and_the_account_that_the_options_name() {
    let options = ["--aws-wires=prefix:/aws", "--account-id", "123456789012"];
    let server = Server::new(ACCESSER).arguments(&options).start().await;
    let key = mint(&server.client(), "dev-alice").await;
    let answer = send(&server, &key, "sts", "/aws", IDENTITY).await.expect(200);
    assert_eq!(text(&answer, "Account"), "123456789012");
    assert_ne!(sts(&server, &key, IDENTITY).await.status, 200);
    for (option, what) in [
        ("--aws-wires=prefix:aws", "aws"),
        ("--aws-wires=prefix:/credentials", "overlap"),
        ("--account-id=12", "12 digits"),
    ] {
        let output = Server::new(ACCESSER).arguments(&[option]).error().await;
        assert!(output.contains(what), "{option}: {output}");
    }
}

#[tokio::test]
async fn role_of_the_identities_file_is_assumed_and_read_again() {
    let (accesser, file) = with_identities(&people());
    let server = accesser.arguments(&["--aws-wires"]).start().await;
    let key = key_of_dana(&server).await;
    let assume = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={ARN}&RoleSessionName=etl");
    let refused = sts(&server, &key, &assume).await.expect(403);
    assert_eq!(text(&refused, "Code"), "AccessDenied");

    std::fs::write(&file, people() + ROLE).unwrap();
    server.signal("HUP");
    server.logged("reloaded identities", 1).await;
    let longer = format!("{assume}&DurationSeconds=7200");
    let answer = sts(&server, &key, &longer).await.expect(200);
    let too_long = sts(&server, &key, &format!("{assume}&DurationSeconds=7201")).await.expect(400);
    assert_eq!(text(&too_long, "Code"), "ValidationError");
    let session =
        Key { access: text(&answer, "AccessKeyId"), secret: text(&answer, "SecretAccessKey") };
    let token = text(&answer, "SessionToken");
    let s3 = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(format!("{}/{path}", server.url));
        let request = request.header("x-amz-security-token", &token);
        let signer = Signer::new(&session.access, &session.secret, SystemClock.now());
        let request = signer.sign(request.body(Full::<Bytes>::default()).unwrap()).0;
        Client::new(&server.url).try_send(request).await.unwrap()
    };
    assert_eq!(text(&s3(Method::GET, "lake/x").await.expect(404), "Code"), "NoSuchBucket");
    assert_eq!(text(&s3(Method::PUT, "lake/x").await.expect(403), "Code"), "AccessDenied");
    assert_eq!(text(&s3(Method::GET, "other/x").await.expect(403), "Code"), "AccessDenied");
}

#[tokio::test]
async fn roles_that_are_not_valid_prevent_the_start() {
    for (from, to, what) in [
        ("arn:aws:iam::000000000000:role/reader", "arn:short", "ARN"),
        ("\"permission\": \"read\"", "\"permission\": \"all\"", "permission"),
        ("7200", "60", "1 to 12 hours"),
        ("7200", "43201", "1 to 12 hours"),
        ("projects = [\"p1\"]", "projects = [\"p2\"]", "unknown project"),
        ("projects", "users", "unknown user"),
        ("projects", "groups", "unknown field"),
        ("[[roles]]", "[[roles]]\narn = \"arn:aws:iam::1:role/one\"\n[[roles]]", "ARN"),
    ] {
        let broken = ROLE.replacen(from, to, 1);
        assert_ne!(broken, ROLE);
        let (accesser, _) = with_identities(&(people() + &broken));
        if from == "[[roles]]" {
            // A second role is fine.
            accesser.start().await;
            continue;
        }
        let output = accesser.error().await;
        assert!(output.contains(what), "{to}: {output}");
    }
    let (accesser, _) = with_identities(&(people() + ROLE + ROLE));
    assert!(accesser.error().await.contains("duplicate arn"));
}

#[tokio::test]
async fn log_contains_no_secret_no_token_and_no_policy_at_any_level() {
    let server = Server::new(ACCESSER).log("trace").start().await;
    let key = mint(&server.client(), "dev-alice").await;
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Sid%22%3A%22hushhush%22%2C%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%2C%22Resource%22%3A%22%2A%22%7D%7D";
    let assume =
        format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=etl&Policy={policy}");
    let answer = sts(&server, &key, &assume).await.expect(200);
    let (secret, token) = (text(&answer, "SecretAccessKey"), text(&answer, "SessionToken"));
    let access = text(&answer, "AccessKeyId");
    // Good and bad uses.
    for (secret, token) in [(&*secret, &*token), ("wrong", &token), (&secret, &token[1..])] {
        let request =
            Request::get(format!("{}/demo", server.url)).header("x-amz-security-token", token);
        let signer = Signer::new(&access, secret, SystemClock.now());
        let request = signer.sign(request.body(Full::<Bytes>::default()).unwrap()).0;
        Client::new(&server.url).try_send(request).await.unwrap();
    }
    let broken = assume.replace("Allow", "allow");
    sts(&server, &key, &broken).await.expect(400);
    let web = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken=hushhush";
    let client = server.client();
    client.call(Method::POST, &format!("/?{web}"), "", None).await.expect(400);
    client.post("/credentials", "dev-alice", &json!({"credential": {"type": "ec2"}})).await;
    let log = server.stderr();
    assert!(log.contains("tower_credentials::audit: session issued"), "{log}");
    for hidden in [&*secret, &token, &token[4..40], "hushhush", &key.secret] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
}
