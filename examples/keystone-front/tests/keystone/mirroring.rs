//! Keys that are created through the front and are also valid in Keystone.

use http::Method;
use serde_json::json;

use crate::{
    front::Front,
    lab,
    people::{project, unique},
    tools::signed,
};

#[tokio::test]
async fn mirrored_keys_work_in_keystone_until_they_are_deleted() {
    let Some(turn) = lab::shared().await else { return };
    let admin = turn.lab.admin().await;
    let keystone = &admin.client;
    let home = admin.project("home").await;
    let (ann, member) = admin.member(&home).await;
    let gateway = admin.user("gateway").await;
    admin.grant(&format!("projects/{home}"), &gateway.id, "service").await;
    let service = gateway.token(keystone, &project(&home)).await;
    let front = Front::of(turn.lab).start(&["--mirror"]).await;
    let through = front.client();

    let path = format!("/v3/users/{}/credentials/OS-EC2", ann.id);
    let made = through.post(&path, &member, &json!({"tenant_id": home})).await.expect(201).json();
    let key = &made["credential"];
    let (access, secret) = (key["access"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let shown = keystone.get(&format!("{path}/{access}"), &member).await.expect(200).json();
    for name in ["access", "secret", "tenant_id", "trust_id", "user_id"] {
        assert_eq!(shown["credential"][name], key[name]);
    }
    // Forwarded requests and Keystone itself know the key.
    for how in ["ec2v4", "ec2v2"] {
        let request = signed(how, access, secret).await;
        for server in [&through, keystone] {
            let answer = server.post("/v3/ec2tokens", &service, &request).await.expect(200);
            assert!(answer.headers.contains_key("X-Subject-Token"));
            assert_eq!(answer.json()["token"]["user"]["id"], ann.id);
        }
    }
    let request = signed("s3v4", access, secret).await;
    for server in [&through, keystone] {
        server.post("/v3/s3tokens", &service, &request).await.expect(200);
    }

    // A credential is changed and deleted.
    let access_too = unique("mirrored");
    let blob = |secret: &str| json!({"access": access_too, "secret": secret}).to_string();
    let body = json!({"credential": {"type": "ec2", "user_id": ann.id, "project_id": home,
        "blob": blob("one")}});
    let made = through.post("/v3/credentials", &member, &body).await.expect(201).json();
    let credential = format!("/v3/credentials/{}", made["credential"]["id"].as_str().unwrap());
    let changed = json!({"credential": {"blob": blob("two")}});
    through.call(Method::PATCH, &credential, &member, Some(&changed)).await.expect(200);
    let shown = keystone.get(&credential, &member).await.expect(200).json();
    assert!(shown["credential"]["blob"].as_str().unwrap().contains("two"));
    through.call(Method::DELETE, &credential, &member, None).await.expect(204);
    admin.call(Method::GET, &credential, None).await.expect(404);

    let pair = format!("{path}/{access}");
    through.call(Method::DELETE, &pair, &member, None).await.expect(204);
    keystone.get(&pair, &member).await.expect(404);
    let request = signed("ec2v4", access, secret).await;
    through.post("/v3/ec2tokens", &service, &request).await.expect(404);
}
