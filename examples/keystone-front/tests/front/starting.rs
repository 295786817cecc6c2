//! Starting, stopping, and what the log tells.

use serde_json::json;

use crate::{
    keystone::{ADMIN, ALICE, Keystone},
    process::{Front, PASSWORD},
};

#[tokio::test]
async fn the_health_check_needs_neither_a_token_nor_keystone() {
    let front = Front::before("http://127.0.0.1:1").start().await;
    assert_eq!(front.client().get("/healthz", "").await.expect(200).text(), "ok\n");
}

#[tokio::test]
async fn it_tells_where_it_listens_and_what_to_paste() {
    let front = Front::before("http://127.0.0.1:1/identity/v3").start().await;
    let (printed, url) = (front.stdout(), &front.url);
    assert!(printed.contains("in front of http://127.0.0.1:1/identity/v3"), "{printed}");
    assert!(printed.contains(&format!("{url}/identity/v3/users/")), "{printed}");
}

#[tokio::test]
async fn a_signal_to_stop_ends_it_in_peace() {
    for signal in ["TERM", "INT"] {
        let mut front = Front::before("http://127.0.0.1:1").start().await;
        front.signal(signal);
        let status = front.ended().await;
        assert!(status.success(), "{status}: {}", front.stderr());
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_words() {
    for (keystone, why) in
        [("not a url", "--keystone"), ("127.0.0.1:5000", "the URL must have the form")]
    {
        let (fine, _, said) = Front::before(keystone).run(&["--listen", "127.0.0.1:0"]).await;
        assert!(!fine && said.contains("error: ") && said.contains(why), "{said}");
    }
    let front = Front::before("http://127.0.0.1:1");
    std::fs::write(front.password_file(), "\n").unwrap();
    let (fine, _, said) = front.run(&["--listen", "127.0.0.1:0"]).await;
    assert!(!fine && said.contains("there is no password in it"), "{said}");
}

#[tokio::test]
async fn the_log_tells_each_change_and_no_secret() {
    let keystone = Keystone::start().await;
    let front = Front::before(&keystone.url).arguments(&["--mirror"]).start().await;
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
async fn the_service_user_logs_in_to_a_project_or_to_the_system() {
    let project = json!({"project": {"name": "s3", "domain": {"name": "Projects"}}});
    let system = json!({"system": {"all": true}});
    for (arguments, scope) in [
        (&["--service-project", "s3", "--service-project-domain", "Projects"][..], project),
        (&["--service-system", "--service-user-domain", "Services"], system),
    ] {
        let keystone = Keystone::start().await;
        let front = Front::before(&keystone.url).arguments(arguments).start().await;
        front.client().get("/v3/credentials", ADMIN).await.expect(200);
        assert_eq!(keystone.logins()[0]["auth"]["scope"], scope);
    }
}

#[tokio::test]
async fn the_service_user_has_one_scope() {
    for arguments in [
        &["--service-user-domain", "Default"][..],
        &["--service-project", "service", "--service-system"],
        &["--service-system", "--service-project-domain", "Default"],
    ] {
        let front = Front::before("http://127.0.0.1:1").arguments(arguments);
        let (fine, _, said) = front.run(&["--listen", "127.0.0.1:0"]).await;
        assert!(!fine && said.contains("--service-project"), "{said}");
    }
}
