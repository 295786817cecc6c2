//! Signatures of Amazon's SDK, validated by the front and by Keystone.

use serde_json::{Value, json};

use crate::{
    front::Front,
    http::Client,
    lab,
    normal::{Names, differences, normal},
    people::{User, password, project, unique},
    tools::signed,
};

/// Creates the same key on a server.
async fn make(client: &Client, token: &str, user: &User, project: &str, blob: &Value) {
    let key = json!({"credential": {"type": "ec2", "user_id": user.id, "project_id": project,
        "blob": blob.to_string()}});
    client.post("/v3/credentials", token, &key).await.expect(201);
}

#[tokio::test]
async fn boto_signatures_are_validated_as_in_keystone() {
    let Some(turn) = lab::shared().await else { return };
    let admin = turn.lab.admin().await;
    let home = admin.project("home").await;
    let (ann, member) = admin.member(&home).await;
    admin.grant(&format!("projects/{home}"), &ann.id, "reader").await;
    let gateway = admin.user("gateway").await;
    admin.grant(&format!("projects/{home}"), &gateway.id, "service").await;
    let service = gateway.token(&admin.client, &project(&home)).await;
    let member_now = ann.token(&admin.client, &project(&home)).await;
    assert_ne!(member, member_now);

    let front = Front::of(turn.lab).start(&[]).await;
    let through = front.client();
    let (access, secret) = (unique("signing"), password());
    let blob = json!({"access": access, "secret": secret});
    make(&admin.client, &member_now, &ann, &home, &blob).await;
    make(&through, &member_now, &ann, &home, &blob).await;

    for how in ["s3v4", "s3v2"] {
        for (secret, status) in [(secret.clone(), 200), (password(), 401)] {
            let request = signed(how, &access, &secret).await;
            let keystone = admin.client.post("/v3/s3tokens", &service, &request).await;
            let front_s = through.post("/v3/s3tokens", &service, &request).await;
            let keystone = normal(&keystone.expect(status), &turn.lab.url, &Names::new());
            let output = front_s.expect(status);
            let found = differences(&keystone, &normal(&output, &front.url, &Names::new()));
            assert!(found.is_empty(), "{how}, {status}: {found:?}");
            if status == 200 {
                let token = &output.json()["token"];
                assert_eq!(token["user"]["id"], ann.id);
                assert_eq!(token["project"]["id"], home);
                let roles = token["roles"].as_array().unwrap().iter();
                let mut roles: Vec<_> = roles.map(|role| role["name"].as_str().unwrap()).collect();
                roles.sort_unstable();
                assert_eq!(roles, ["member", "reader"]);
            }
        }
    }
}
