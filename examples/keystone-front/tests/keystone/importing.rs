//! Imports of keys from Keystone.

use serde_json::json;

use crate::{
    front::Front,
    lab,
    people::{project, unique},
    tools::signed,
};

#[tokio::test]
async fn imported_keys_work_through_the_front() {
    // Exclusive: the printed numbers count all credentials.
    let Some(turn) = lab::alone().await else { return };
    let admin = turn.lab.admin().await;
    let home = admin.project("home").await;
    let (ann, member) = admin.member(&home).await;
    let gateway = admin.user("gateway").await;
    admin.grant(&format!("projects/{home}"), &gateway.id, "service").await;
    let service = gateway.token(&admin.client, &project(&home)).await;

    let path = format!("/v3/users/{}/credentials/OS-EC2", ann.id);
    let tenant = json!({"tenant_id": home});
    let made = admin.client.post(&path, &member, &tenant).await.expect(201).json();
    let key = &made["credential"];
    let (access, secret) = (key["access"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let certificate = json!({"credential":
        {"type": "cert", "user_id": ann.id, "blob": unique("pem"), "note": "kept"}});
    let certificate = admin.client.post("/v3/credentials", &member, &certificate).await;
    let certificate = certificate.expect(201).json();

    let front = Front::of(turn.lab);
    let first = front.import().await;
    let read = first.split(' ').next().unwrap();
    let odd = first.split(", ").nth(6).unwrap();
    assert!(first.starts_with(&format!("{read} read, {read} new, 0 unchanged, 0 updated")));
    let running = front.start(&[]).await;
    let through = running.client();

    let shown = through.get(&format!("{path}/{access}"), &member).await.expect(200).json();
    let direct = admin.client.get(&format!("{path}/{access}"), &member).await.expect(200).json();
    assert_eq!(shown["credential"]["secret"], direct["credential"]["secret"]);
    assert_eq!(shown["credential"]["tenant_id"], home);
    let id = certificate["credential"]["id"].as_str().unwrap();
    let shown = through.get(&format!("/v3/credentials/{id}"), &member).await.expect(200).json();
    for member in ["blob", "note", "type", "user_id"] {
        assert_eq!(shown["credential"][member], certificate["credential"][member]);
    }
    let request = signed("s3v4", access, secret).await;
    let verified = through.post("/v3/s3tokens", &service, &request).await.expect(200).json();
    assert_eq!(verified["token"]["user"]["id"], ann.id);

    // While the front runs.
    let second = front.import().await;
    let kept = "0 updated, 0 kept, 0 deleted here";
    let unchanged = format!("{read} read, 0 new, {read} unchanged, {kept}, {odd}, 0 failed");
    assert_eq!(second, unchanged);
}
