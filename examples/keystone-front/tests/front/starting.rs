//! Starting, stopping, printed commands and log lines.

use serde_json::json;

use crate::{
    keystone::{ADMIN, ALICE, Keystone},
    process::{Front, PASSWORD},
};

#[tokio::test]
async fn health_check_needs_neither_a_token_nor_keystone() {
    let front = Front::of("http://127.0.0.1:1").start().await;
    assert_eq!(front.client().get("/healthz", "").await.expect(200).text(), "ok\n");
}

#[tokio::test]
async fn front_prints_its_address_and_commands() {
    let front = Front::of("http://127.0.0.1:1/identity/v3").start().await;
    let (printed, url) = (front.stdout(), &front.url);
    assert!(printed.contains("in front of http://127.0.0.1:1/identity/v3"), "{printed}");
    assert!(printed.contains(&format!("{url}/identity/v3/users/")), "{printed}");
}

#[tokio::test]
async fn sigterm_shuts_down_gracefully() {
    for signal in ["TERM", "INT"] {
        let mut front = Front::of("http://127.0.0.1:1").start().await;
        front.signal(signal);
        let status = front.ended().await;
        assert!(status.success(), "{status}: {}", front.stderr());
    }
}

#[tokio::test]
async fn failed_start_prints_the_reason() {
    for (keystone, why) in
        [("not a url", "--keystone"), ("127.0.0.1:5000", "the URL must have the form")]
    {
        let (success, _, output) = Front::of(keystone).run(&["--listen", "127.0.0.1:0"]).await;
        assert!(!success && output.contains("error: ") && output.contains(why), "{output}");
    }
    let front = Front::of("http://127.0.0.1:1");
    std::fs::write(front.password_file(), "\n").unwrap();
    let (success, _, output) = front.run(&["--listen", "127.0.0.1:0"]).await;
    assert!(!success && output.contains("contains no password"), "{output}");
}

#[tokio::test]
async fn log_contains_each_change_and_no_secret() {
    let keystone = Keystone::start().await;
    let front = Front::of(&keystone.url).arguments(&["--mirror"]).start().await;
    let client = front.client();
    let project = json!({"tenant_id": "demo"});
    let made = client.post("/v3/users/alice/credentials/OS-EC2", ALICE, &project).await;
    let made = made.expect(201).json();
    client.get("/v3/credentials", ADMIN).await.expect(200);
    client.get("/echo", ALICE).await.expect(200);
    let access = made["credential"]["access"].as_str().unwrap();
    let secret = made["credential"]["secret"].as_str().unwrap();
    let log = front.stderr();
    assert_eq!(log.matches("credential created").count(), 1, "{log}");
    assert!(log.contains(access), "{log}");
    for secret in [secret, ADMIN, ALICE, "token-of-front", PASSWORD] {
        assert!(!log.contains(secret), "{secret} is logged: {log}");
    }
}

#[tokio::test]
async fn service_user_logs_in_to_a_project_or_to_the_system() {
    let project = json!({"project": {"name": "s3", "domain": {"name": "Projects"}}});
    let system = json!({"system": {"all": true}});
    for (arguments, scope) in [
        (&["--service-project", "s3", "--service-project-domain", "Projects"][..], project),
        (&["--service-system", "--service-user-domain", "Services"], system),
    ] {
        let keystone = Keystone::start().await;
        let front = Front::of(&keystone.url).arguments(arguments).start().await;
        front.client().get("/v3/credentials", ADMIN).await.expect(200);
        assert_eq!(keystone.logins()[0]["auth"]["scope"], scope);
    }
}

#[tokio::test]
async fn service_user_has_one_scope() {
    for arguments in [
        &["--service-user-domain", "Default"][..],
        &["--service-project", "service", "--service-system"],
        &["--service-system", "--service-project-domain", "Default"],
    ] {
        let front = Front::of("http://127.0.0.1:1").arguments(arguments);
        let (success, _, output) = front.run(&["--listen", "127.0.0.1:0"]).await;
        assert!(!success && output.contains("--service-project"), "{output}");
    }
}
