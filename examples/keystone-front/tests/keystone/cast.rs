//! The users and tokens of the tables.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::{
    normal::Names,
    people::{Admin, User, domain, project, system, token, unscoped},
    tools::signed,
};

/// The tokens and ids that rows can name.
pub(crate) struct Cast {
    pub(crate) tokens: BTreeMap<&'static str, String>,
    pub(crate) names: Names,
}

/// The secret of the key `<ann>s`.
const SECRET: &str = "the-secret-of-ann";

/// Deletes a user's credentials in Keystone.
pub(crate) async fn delete_credentials(admin: &Admin, user: &str) {
    let found = admin.call(Method::GET, &format!("/v3/credentials?user_id={user}"), None).await;
    for credential in found.expect(200).json()["credentials"].as_array().unwrap() {
        let path = format!("/v3/credentials/{}", credential["id"].as_str().unwrap());
        admin.call(Method::DELETE, &path, None).await.expect(204);
    }
}

impl Cast {
    /// Creates the users and their tokens.
    pub(crate) async fn new(admin: &Admin) -> Self {
        let client = &admin.client;
        let (home, other) = (admin.project("home").await, admin.project("other").await);
        let on_home = format!("projects/{home}");
        let (ann, member) = admin.member(&home).await;
        let (bob, second) = admin.member(&home).await;
        let (root, reader, service) =
            (admin.user("root").await, admin.user("reader").await, admin.user("service").await);
        for on in [&*on_home, "domains/default", "system"] {
            admin.grant(on, &root.id, "admin").await;
        }
        for on in [&*on_home, "domains/default", "system"] {
            admin.grant(on, &reader.id, "reader").await;
        }
        admin.grant(&on_home, &service.id, "service").await;
        let home_scope = project(&home);
        let mut tokens = BTreeMap::from([
            ("admin", root.token(client, &home_scope).await),
            ("domain admin", root.token(client, &domain()).await),
            ("domain reader", reader.token(client, &domain()).await),
            ("member", member.clone()),
            ("reader", reader.token(client, &home_scope).await),
            ("second member", second.clone()),
            ("service", service.token(client, &home_scope).await),
            ("system admin", root.token(client, &system()).await),
            ("system reader", reader.token(client, &system()).await),
            ("unscoped admin", root.token(client, &unscoped()).await),
            ("unscoped member", ann.token(client, &unscoped()).await),
        ]);
        for (who, user, own, restricted) in [
            ("restricted", &ann, &member, true),
            ("unrestricted", &ann, &member, false),
            ("admin's unrestricted", &root, &tokens["admin"].clone(), false),
        ] {
            let body = json!({"application_credential":
            {"name": who, "secret": "a-secret", "unrestricted": !restricted}});
            let path = format!("/v3/users/{}/application_credentials", user.id);
            let made = client.post(&path, own, &body).await.expect(201).json();
            let id = &made["application_credential"]["id"];
            let identity = json!({"methods": ["application_credential"],
            "application_credential": {"id": id, "secret": "a-secret"}});
            tokens.insert(who, token(client, &identity, &Value::Null).await);
        }
        let trust = json!({"trust": {"trustor_user_id": ann.id, "trustee_user_id": bob.id,
        "project_id": home, "impersonation": true, "roles": [{"name": "member"}]}});
        let trust = client.post("/v3/OS-TRUST/trusts", &member, &trust).await.expect(201).json();
        let trust = trust["trust"]["id"].as_str().unwrap().to_owned();
        let scope = json!({"OS-TRUST:trust": {"id": trust}});
        tokens.insert("trustee", bob.token(client, &scope).await);
        let revoked = ann.token(client, &home_scope).await;
        admin.revoke_token(&revoked).await;
        tokens.insert("revoked", revoked);

        let names = [
            ("ann", &ann.id),
            ("bob", &bob.id),
            ("home", &home),
            ("other", &other),
            ("reader", &reader.id),
            ("root", &root.id),
            ("service", &service.id),
        ];
        let names = names.into_iter().map(|(name, id)| (name.to_owned(), id.clone()));
        let mut names: Names = names.collect();
        let by_key = sign(admin, &ann, &home, &mut names).await;
        tokens.insert("by key", by_key);
        Self { tokens, names }
    }
}

/// Adds names for signatures with the key `<ann>s`, which does not exist yet. Returns a token that
/// was issued for one of them.
async fn sign(admin: &Admin, ann: &User, home: &str, names: &mut Names) -> String {
    let access = format!("{}s", ann.id);
    let blob = json!({"access": access, "secret": SECRET}).to_string();
    let key = json!({"credential":
        {"type": "ec2", "user_id": ann.id, "project_id": home, "blob": blob}});
    let id = admin.make("/v3/credentials", &key, "/credential/id").await;
    for how in ["ec2v2", "ec2v4", "s3v2", "s3v4"] {
        let signed = signed(how, &access, SECRET).await;
        names.insert(how.to_owned(), signed["credentials"].to_string());
    }
    let signed: Value = serde_json::from_str(&names["ec2v2"]).unwrap();
    let signed = json!({"credentials": signed});
    let answer = admin.client.post("/v3/ec2tokens", &admin.token, &signed).await.expect(200);
    let by_key = answer.headers["X-Subject-Token"].clone();
    admin.call(Method::DELETE, &format!("/v3/credentials/{id}"), None).await.expect(204);
    by_key.to_str().unwrap().to_owned()
}
