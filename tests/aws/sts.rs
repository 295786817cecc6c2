//! STS: the responses, byte by byte where clients parse them, and what the credentials do.

use tower_credentials::{
    aws::{AwsWires, Role, StaticRoles},
    backend::{CredentialBackend, ListQuery, Order},
    domain::{ProjectId, UserId},
};

use crate::front::{Client, Front};

const XMLNS: &str = r#"xmlns="https://sts.amazonaws.com/doc/2011-06-15/""#;

#[tokio::test]
async fn assume_role_without_a_role_is_a_session_of_the_caller_itself() {
    let front = Front::new().await;
    let params = [("Action", "AssumeRole"), ("RoleSessionName", "nightly")];
    let answer = front.sts(&Client::alice(), &params).await;
    let client = answer.issued();
    let (access, secret, token) = (&client.access, &client.secret, client.token.as_ref().unwrap());
    assert_eq!(
        answer.body(),
        format!(
            "<AssumeRoleResponse {XMLNS}><AssumeRoleResult><Credentials>\
             <AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
             <SessionToken>{token}</SessionToken><Expiration>2026-01-02T04:04:05Z</Expiration>\
             </Credentials><AssumedRoleUser><AssumedRoleId>AROAFPMANSL7BYAK6GQ7:nightly\
             </AssumedRoleId><Arn>arn:aws:sts::000000000000:assumed-role/alice/nightly</Arn>\
             </AssumedRoleUser></AssumeRoleResult><ResponseMetadata><RequestId>ID</RequestId>\
             </ResponseMetadata></AssumeRoleResponse>"
        )
    );
    assert!(front.admits(&client, "PUT", "/b/k").await);
    let without = Client { token: None, ..client };
    assert!(!front.admits(&without, "PUT", "/b/k").await);
}

#[tokio::test]
async fn session_name_follows_from_the_user_if_the_client_gives_none() {
    let front = Front::new().await;
    let answer = front.sts(&Client::alice(), &[("Action", "AssumeRole")]).await;
    answer.issued();
    assert_eq!(answer.text("Arn"), "arn:aws:sts::000000000000:assumed-role/alice/alice");
    assert_eq!(answer.text("Expiration"), "2026-01-02T04:04:05Z");
}

#[tokio::test]
async fn session_token_stands_for_the_user() {
    let front = Front::new().await;
    let answer = front.sts(&Client::alice(), &[("Action", "GetSessionToken")]).await;
    let client = answer.issued();
    assert_eq!(answer.text("Expiration"), "2026-01-02T15:04:05Z");
    assert!(answer.body.contains("<GetSessionTokenResult><Credentials>"), "{}", answer.body);
    assert!(front.admits(&client, "PUT", "/b/k").await);
    let identity = front.sts(&client, &[("Action", "GetCallerIdentity")]).await;
    assert_eq!(identity.text("Arn"), "arn:aws:iam::000000000000:user/alice");
}

#[tokio::test]
async fn federated_user_may_do_what_its_policy_allows_and_nothing_without_one() {
    let front = Front::new().await;
    let params = [("Action", "GetFederationToken"), ("Name", "Bob")];
    let answer = front.sts(&Client::alice(), &params).await;
    let client = answer.issued();
    assert_eq!(answer.text("FederatedUserId"), "000000000000:Bob");
    assert_eq!(answer.text("Arn"), "arn:aws:sts::000000000000:federated-user/Bob");
    assert!(!front.admits(&client, "GET", "/b/k").await);
    assert!(!front.admits(&client, "GET", "/").await);

    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let params = [("Action", "GetFederationToken"), ("Name", "Bob"), ("Policy", policy)];
    let client = front.sts(&Client::alice(), &params).await.issued();
    assert!(front.admits(&client, "GET", "/b/k").await);
    assert!(!front.admits(&client, "PUT", "/b/k").await);
}

#[tokio::test]
async fn caller_identity_is_that_of_the_key_or_of_the_session() {
    let front =
        Front::with(|builder| builder.aws(AwsWires::new().account_id("123456789012"))).await;
    let action = [("Action", "GetCallerIdentity")];
    let own = front.sts(&Client::alice(), &action).await;
    own.ok();
    assert_eq!(
        own.body(),
        format!(
            "<GetCallerIdentityResponse {XMLNS}><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::123456789012:user/alice</Arn><UserId>AIDAFPMANSL7BYAK6GQ7</UserId>\
             <Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata>\
             <RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
    );
    let params = [("Action", "AssumeRole"), ("RoleSessionName", "nightly")];
    let session = front.sts(&Client::alice(), &params).await.issued();
    let identity = front.sts(&session, &action).await;
    let arn = "arn:aws:sts::123456789012:assumed-role/alice/nightly";
    assert_eq!(identity.text("Arn"), arn);
    assert_eq!(identity.text("UserId"), "AROAFPMANSL7BYAK6GQ7:nightly");
    let params = [("Action", "GetFederationToken"), ("Name", "Bob")];
    let session = front.sts(&Client::alice(), &params).await.issued();
    let identity = front.sts(&session, &action).await;
    assert_eq!(identity.text("Arn"), "arn:aws:sts::123456789012:federated-user/Bob");
    assert_eq!(identity.text("UserId"), "123456789012:Bob");
}

/// A role that reads one bucket, for alice and for the project `other`.
fn reader() -> Role {
    let role = Role::new("arn:aws:iam::000000000000:role/reader").unwrap();
    let role = role.boundary(r#"{"permission": "read", "buckets": ["lake"]}"#).unwrap();
    role.user(UserId::new("alice").unwrap()).project(ProjectId::new("other").unwrap())
}

#[tokio::test]
async fn role_limits_the_session_that_assumes_it() {
    let front = Front::with(|builder| {
        builder.aws(AwsWires::new().roles(StaticRoles::new().with_role(reader())))
    })
    .await;
    let arn = "arn:aws:iam::000000000000:role/reader";
    let params = [("Action", "AssumeRole"), ("RoleArn", arn), ("RoleSessionName", "etl")];
    let answer = front.sts(&Client::alice(), &params).await;
    let session = answer.issued();
    // The role does not appear: the session stands for its user.
    assert_eq!(answer.text("Arn"), "arn:aws:sts::000000000000:assumed-role/alice/etl");
    assert!(front.admits(&session, "GET", "/lake/x").await);
    assert!(!front.admits(&session, "PUT", "/lake/x").await);
    assert!(!front.admits(&session, "GET", "/other/x").await);

    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::lake/a/*"}}"#;
    let both = [params[0], params[1], params[2], ("Policy", policy)];
    let session = front.sts(&Client::alice(), &both).await.issued();
    assert!(front.admits(&session, "GET", "/lake/a/x").await);
    assert!(!front.admits(&session, "PUT", "/lake/a/x").await);
    assert!(!front.admits(&session, "GET", "/lake/b/x").await);
}

#[tokio::test]
async fn role_is_assumed_only_by_those_whom_it_admits() {
    let external = Role::new("arn:aws:iam::000000000000:role/external").unwrap();
    let external = external.user(UserId::new("alice").unwrap()).external_id("contract-7");
    let wires = AwsWires::new().roles(StaticRoles::new().with_role(reader()).with_role(external));
    let front = Front::with(|builder| builder.aws(wires)).await;
    let bob = test_support::records::pair_in("demo", "bob", "b0b0b0b0b0b0b0b0", &"b".repeat(48));
    let carol =
        test_support::records::pair_in("other", "carol", "ca401ca401ca401c", &"c".repeat(48));
    front.add(bob).await;
    front.add(carol).await;
    let bob = Client::key("b0b0b0b0b0b0b0b0", &"b".repeat(48));
    let carol = Client::key("ca401ca401ca401c", &"c".repeat(48));
    let assume = |arn| [("Action", "AssumeRole"), ("RoleArn", arn), ("RoleSessionName", "etl")];
    let reader = assume("arn:aws:iam::000000000000:role/reader");
    front.sts(&carol, &reader).await.issued();
    let denied = front.sts(&bob, &reader).await;
    denied.refused(403, "AccessDenied");
    // A role that does not exist looks the same.
    let unknown = front.sts(&bob, &assume("arn:aws:iam::000000000000:role/nobody")).await;
    assert_eq!(unknown.body(), denied.body());
    front
        .sts(&Client::alice(), &assume("arn:aws:iam::000000000000:role/READER"))
        .await
        .refused(403, "AccessDenied");

    let arn = assume("arn:aws:iam::000000000000:role/external");
    for (id, fine) in [("contract-7", true), ("contract-8", false)] {
        let answer = front.sts(&Client::alice(), &[&arn[..], &[("ExternalId", id)]].concat()).await;
        assert_eq!(answer.status == 200, fine, "{}", answer.body);
    }
    front.sts(&Client::alice(), &arn).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn unknown_role_is_the_caller_only_if_the_operator_says_so() {
    let wires =
        AwsWires::new().roles(StaticRoles::new().with_role(reader())).any_role_is_self(true);
    let front = Front::with(|builder| builder.aws(wires)).await;
    let assume = |arn| [("Action", "AssumeRole"), ("RoleArn", arn), ("RoleSessionName", "etl")];
    let any = front.sts(&Client::alice(), &assume("arn:xxx:xxx:xxx:xxxx")).await.issued();
    assert!(front.admits(&any, "PUT", "/other/x").await);
    // A known role stays narrow, also for somebody who may do more.
    let known = assume("arn:aws:iam::000000000000:role/reader");
    let known = front.sts(&Client::alice(), &known).await.issued();
    assert!(!front.admits(&known, "PUT", "/lake/x").await);
}

#[tokio::test]
async fn source_identity_is_echoed_and_tags_grant_nothing() {
    let front = Front::new().await;
    let params = [
        ("Action", "AssumeRole"),
        ("RoleSessionName", "etl"),
        ("SourceIdentity", "build-7"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "lake"),
        ("TransitiveTagKeys.member.1", "team"),
        ("MinimumSessionTokenSize", "0"),
    ];
    let answer = front.sts(&Client::alice(), &params).await;
    answer.issued();
    assert_eq!(answer.text("SourceIdentity"), "build-7");
    assert!(!answer.body.contains("lake"), "{}", answer.body);
}

#[tokio::test]
async fn nothing_is_written_to_the_store() {
    let front = Front::new().await;
    let before = front.backend.find_by_access_key(&Client::alice().parent().0).await.unwrap();
    for action in ["AssumeRole", "GetSessionToken"] {
        front.sts(&Client::alice(), &[("Action", action)]).await.issued();
    }
    let after = front.backend.find_by_access_key(&Client::alice().parent().0).await.unwrap();
    assert_eq!(before, after);
    let count = front.backend.list(&ListQuery::new(Order::Key)).await.unwrap().credentials.len();
    assert_eq!(count, 1);
}
