//! Keys whose boundary is a policy document: conditions, and operations that no server has.

use http::Method;
use serde_json::{Value, json};

use crate::{
    http::Client,
    keys::{mint, mint_with},
    process::{Program, Running, Server},
    signing::Signing,
};

/// A server with the object `data/object`, and its owner.
async fn start(program: Program) -> (Running, Signing) {
    let server = Server::new(program).start().await;
    let (client, url) = (Client::http2(&server.url), server.url.clone());
    let key = mint(&client, "dev-alice").await;
    let owner = Signing { client, url, key };
    owner.put("data", "").await.expect(200);
    owner.put("data/object", "content").await.expect(200);
    (server, owner)
}

/// A new key of the owner's that may do everything under a condition.
async fn bounded(owner: &Signing, condition: Value) -> Signing {
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*",
        "Condition": condition});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
    let members = json!({"boundary": {"policy": policy}});
    Signing { key: mint_with(&owner.client, "dev-alice", &members).await, ..owner.clone() }
}

pub async fn conditions_see_the_address_and_the_encryption_of_a_connection(program: Program) {
    let (_server, owner) = start(program).await;
    for (condition, is_met) in [
        (json!({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}), true),
        (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), false),
        (json!({"NotIpAddress": {"aws:SourceIp": "127.0.0.1/32"}}), false),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), true),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), false),
    ] {
        let answer = bounded(&owner, condition.clone()).await.get("data/object").await;
        if is_met {
            assert_eq!(answer.expect(200).text(), "content", "{condition}");
        } else {
            answer.refused("AccessDenied");
        }
    }
}

pub async fn operation_that_the_server_does_not_serve_changes_nothing(program: Program) {
    let (_server, owner) = start(program).await;
    let everything = bounded(&owner, json!({})).await;
    for (method, path) in [
        (Method::PUT, "data/object?tagging"),
        (Method::PUT, "data/object?acl"),
        (Method::DELETE, "data/object?tagging"),
        (Method::DELETE, "data?policy"),
        (Method::DELETE, "data?lifecycle"),
        (Method::GET, "data/object?torrent"),
        (Method::GET, "data?versions"),
    ] {
        everything.send(method, path, "").await.refused("AccessDenied");
    }
    assert_eq!(everything.get("data/object").await.expect(200).text(), "content");
    everything.get("data?list-type=2").await.expect(200);
    everything.get("").await.expect(200);
}
