//! What the app sees of an encrypted connection.

use http::Request;
use http_body_util::Full;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

use super::lab::{Files, Lab, exchange};
use crate::{
    http::Client,
    keys::{self, ALICE, mint, mint_with},
    process::Program,
    signing::Signing,
};

pub async fn conditions_see_the_version_of_tls(program: Program) {
    let lab = Lab::start(program).await;
    let url = lab.running.url.clone();
    let client = lab.client();
    let key = mint(&client, "dev-alice").await;
    let owner = Signing { client: client.clone(), url: url.clone(), key };
    owner.put("data", "").await.expect(200);
    owner.put("data/object", "content").await.expect(200);
    let old = lab.client_with(&[&TLS12]);
    let new = lab.client_with(&[&TLS13]);
    for (condition, for_old, for_new) in [
        (json!({"Bool": {"aws:SecureTransport": "true"}}), true, true),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), false, false),
        (json!({"NumericGreaterThanEquals": {"s3:TlsVersion": "1.3"}}), false, true),
        (json!({"NumericEquals": {"s3:TlsVersion": "1.2"}}), true, false),
        (json!({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}), true, true),
    ] {
        let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*",
            "Condition": condition});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
        let members = json!({"boundary": {"policy": policy}});
        let key = mint_with(&client, "dev-alice", &members).await;
        for (client, is_met) in [(&old, for_old), (&new, for_new)] {
            let key = key.clone();
            let bounded = Signing { client: client.clone(), url: url.clone(), key };
            let answer = bounded.get("data/object").await;
            if is_met {
                assert_eq!(answer.expect(200).text(), "content", "{condition}");
            } else {
                answer.refused("AccessDenied");
            }
        }
    }
}

/// The link to itself in a list, and the link to the next page of another.
async fn links(client: &Client, url: &str) -> [String; 2] {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |path: String| {
        let request = Request::get(format!("{url}{path}")).header("x-auth-token", "dev-admin");
        client.try_send(request.body(Full::default()).unwrap())
    };
    let v3 = list("/v3/credentials".to_owned()).await.unwrap().expect(200).json();
    let v2 = list(format!("/v2.0/users/{ALICE}/OS-KSADM/credentials?limit=1")).await;
    let v2 = v2.unwrap().expect(200).json();
    [text(&v3["links"]["self"]), text(&v2["credentials_links"][0]["href"])]
}

pub async fn links_start_with_https_and_the_host_of_the_request(program: Program) {
    let lab = Lab::start(program).await;
    let client = lab.client();
    for access in ["one", "two"] {
        keys::create(&client, access).await.expect(201);
    }
    // On HTTP/2.
    let url = lab.running.url.replace("127.0.0.1", "localhost");
    for link in links(&client, &url).await {
        assert!(link.starts_with(&format!("{url}/v")), "{link}");
    }
    let request = "GET /v3/credentials HTTP/1.1\r\nHost: keys.localhost:1\r\n\
                   X-Auth-Token: dev-admin\r\n\r\n";
    let received = exchange(&mut lab.connect().await, request, "}\n").await;
    assert!(
        received.contains("\"self\":\"https://keys.localhost:1/v3/credentials\""),
        "{received}"
    );
}

pub async fn links_start_with_the_base_url(program: Program) {
    let base = "https://keys.example.test/api";
    let lab = Files::new(program).arguments(&["--base-url", base]).start().await;
    let client = lab.client();
    for access in ["one", "two"] {
        keys::create(&client, access).await.expect(201);
    }
    for link in links(&client, &lab.running.url).await {
        assert!(link.starts_with(&format!("{base}/v")), "{link}");
    }
    let error = Files::new(program).arguments(&["--base-url", "keys.example.test"]).server;
    let error = error.error().await;
    assert!(error.contains("base URL"), "{error}");
}
