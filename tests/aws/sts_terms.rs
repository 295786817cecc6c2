//! STS: durations, policies and parents that are refused.

use std::time::Duration;

use tower_credentials::{
    aws::{AwsWires, Role, StaticRoles},
    clock::Clock,
    domain::{Delegation, Status, UserId},
};

use crate::front::{Client, Front};

#[tokio::test]
async fn durations_outside_their_bounds_are_errors_and_never_clamped() {
    let role = Role::new("arn:aws:iam::000000000000:role/short").unwrap();
    let role = role.user(UserId::new("alice").unwrap()).longest(Duration::from_hours(2)).unwrap();
    let front = Front::with(|builder| {
        builder.aws(AwsWires::new().roles(StaticRoles::new().with_role(role)))
    })
    .await;
    let arn = ("RoleArn", "arn:aws:iam::000000000000:role/short");
    for (action, more, good, bad) in [
        ("AssumeRole", None, ["900", "43200"], ["899", "43201"]),
        ("AssumeRole", Some(arn), ["900", "7200"], ["899", "7201"]),
        ("GetSessionToken", None, ["900", "129600"], ["899", "129601"]),
        ("GetFederationToken", Some(("Name", "Bob")), ["900", "129600"], ["899", "129601"]),
    ] {
        let ask = async |seconds: &str| {
            let params = [("Action", action), ("DurationSeconds", seconds)];
            let params = [&params[..], more.as_slice()].concat();
            front.sts(&Client::alice(), &params).await
        };
        for seconds in good {
            ask(seconds).await.issued();
        }
        for seconds in bad {
            let answer = ask(seconds).await;
            answer.refused(400, "ValidationError");
            assert!(answer.text("Message").contains("'durationSeconds'"), "{}", answer.body);
        }
        for odd in ["abc", "-1", "+900", "9e2", "", " 900", "00000000900", "36000000000000000000"] {
            ask(odd).await.refused(400, "ValidationError");
        }
    }
}

#[tokio::test]
async fn policies_that_are_not_valid_or_too_large_are_refused() {
    let front = Front::new().await;
    let assume = async |policy: &str| {
        front.sts(&Client::alice(), &[("Action", "AssumeRole"), ("Policy", policy)]).await
    };
    let statement = |rest: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{{rest}}}]}}"#);
    for bad in [
        "{}".to_owned(),
        "[]".to_owned(),
        "policy".to_owned(),
        r#"{"permission":"read","buckets":["b"]}"#.to_owned(),
        statement(r#""Effect":"allow","Action":"*","Resource":"*""#),
        statement(r#""Effect":"Allow","Action":"*","Resource":"*","Effect":"Deny""#),
        statement(r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#),
        statement(
            r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLikes":{"s3:prefix":"a"}}"#,
        ),
        statement(
            r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"s3:prefx":"a"}}"#,
        ),
    ] {
        assume(&bad).await.refused(400, "MalformedPolicyDocument");
    }
    assume("").await.refused(400, "ValidationError");
    let long = |length: usize| {
        let text = statement(r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/X""#);
        text.replace('X', &"x".repeat(length + 1 - text.len()))
    };
    assume(&long(2_048)).await.issued();
    assume(&long(2_049)).await.refused(400, "PackedPolicyTooLarge");
    // White space does not count.
    assume(&format!("{}{}", " ".repeat(4_000), long(2_048))).await.issued();
}

#[tokio::test]
async fn what_would_narrow_a_session_is_refused_if_it_is_not_understood() {
    let front = Front::new().await;
    for (param, status, code) in [
        (("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnly"), 400, "InvalidInput"),
        (("ProvidedContexts.member.1.ProviderArn", "x"), 400, "InvalidInput"),
        (("ProviderId", "www.example.com"), 400, "InvalidInput"),
        (("SerialNumber", "arn:aws:iam::000000000000:mfa/alice"), 403, "AccessDenied"),
        (("TokenCode", "123456"), 403, "AccessDenied"),
        (("policy", "{}"), 400, "ValidationError"),
        (("POLICY", "{}"), 400, "ValidationError"),
        (("policyArns.member.1.arn", "x"), 400, "ValidationError"),
        (("durationseconds", "900"), 400, "ValidationError"),
        (("roleArn", "arn:aws:iam::000000000000:role/reader"), 400, "ValidationError"),
        (("Policy.member.1", "{}"), 400, "ValidationError"),
        (("RoleArn.member.1", "arn:aws:iam::000000000000:role/reader"), 400, "ValidationError"),
        (("tokencode", "123456"), 400, "ValidationError"),
    ] {
        for action in ["AssumeRole", "GetSessionToken"] {
            let params = [("Action", action), param];
            front.sts(&Client::alice(), &params).await.refused(status, code);
        }
    }
    let role = ("RoleArn", "arn:aws:iam::000000000000:role/reader");
    for params in [
        &[("Action", "GetSessionToken"), ("Policy", "{}")][..],
        &[("Action", "GetSessionToken"), role],
        &[("Action", "GetFederationToken"), ("Name", "Bob"), role],
    ] {
        front.sts(&Client::alice(), params).await.refused(400, "ValidationError");
    }
    // What grants nothing and takes nothing is ignored.
    front.sts(&Client::alice(), &[("Action", "AssumeRole"), ("Unknown", "x")]).await.issued();
}

#[tokio::test]
async fn session_may_not_outlive_the_key_that_asks_for_it() {
    let front = Front::new().await;
    let end = front.clock.now() + Duration::from_mins(20);
    front.change(|key| key.terms.set_expires_at(Some(end))).await;
    let params = [("Action", "AssumeRole"), ("DurationSeconds", "1200")];
    let session = front.sts(&Client::alice(), &params).await.issued();
    assert!(front.admits(&session, "GET", "/b/k").await);
    for params in [&[("Action", "AssumeRole"), ("DurationSeconds", "1201")][..], &params[..1]] {
        front.sts(&Client::alice(), params).await.refused(400, "ValidationError");
    }
}

#[tokio::test]
async fn key_with_a_boundary_mints_sessions_within_it() {
    let front = Front::new().await;
    let boundary = r#"{"permission": "read", "buckets": ["lake"]}"#;
    front.change(|key| key.terms.set_boundary(Some(boundary.to_owned()))).await;
    let policy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    for params in [
        &[("Action", "AssumeRole")][..],
        &[("Action", "AssumeRole"), ("Policy", policy)],
        &[("Action", "GetSessionToken")],
        &[("Action", "GetFederationToken"), ("Name", "Bob"), ("Policy", policy)],
    ] {
        let session = front.sts(&Client::alice(), params).await.issued();
        assert!(front.admits(&session, "GET", "/lake/x").await, "{params:?}");
        assert!(!front.admits(&session, "PUT", "/lake/x").await, "{params:?}");
        assert!(!front.admits(&session, "GET", "/other/x").await, "{params:?}");
    }
}

#[tokio::test]
async fn session_may_only_ask_who_it_is() {
    let front = Front::new().await;
    for action in ["AssumeRole", "GetSessionToken"] {
        let session = front.sts(&Client::alice(), &[("Action", action)]).await.issued();
        front.sts(&session, &[("Action", "GetCallerIdentity")]).await.ok();
        for params in [
            &[("Action", "AssumeRole")][..],
            &[("Action", "GetSessionToken")],
            &[("Action", "GetFederationToken"), ("Name", "Bob")],
        ] {
            front.sts(&session, params).await.refused(403, "AccessDenied");
        }
    }
}

#[tokio::test]
async fn key_that_cannot_have_sessions_gets_none() {
    let front = Front::new().await;
    let short =
        test_support::records::pair_in("demo", "alice", "51f2c6a0d4e8b7930000", &"s".repeat(31));
    front.add(short).await;
    let short = Client::key("51f2c6a0d4e8b7930000", &"s".repeat(31));
    front.sts(&short, &[("Action", "GetCallerIdentity")]).await.ok();
    front.sts(&short, &[("Action", "AssumeRole")]).await.refused(403, "AccessDenied");

    front.change(|key| key.delegation = Some(Delegation::Trust { id: "t".into() })).await;
    front.sts(&Client::alice(), &[("Action", "GetCallerIdentity")]).await.ok();
    for params in [
        &[("Action", "AssumeRole")][..],
        &[("Action", "GetSessionToken")],
        &[("Action", "GetFederationToken"), ("Name", "Bob")],
    ] {
        front.sts(&Client::alice(), params).await.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn key_that_may_not_sign_is_an_invalid_client() {
    let front = Front::new().await;
    let session = front.sts(&Client::alice(), &[("Action", "AssumeRole")]).await.issued();
    let identity = [("Action", "GetCallerIdentity")];
    front.change(|key| key.status = Status::Inactive).await;
    front.sts(&Client::alice(), &identity).await.refused(403, "InvalidClientTokenId");
    front.sts(&session, &identity).await.refused(403, "InvalidClientTokenId");
    front.change(|key| key.status = Status::Active).await;
    front.sts(&session, &identity).await.ok();
    front.clock.advance(Duration::from_hours(1));
    front.sts(&session, &identity).await.refused(403, "ExpiredToken");
    let enabled_at = front.clock.now();
    front.change(|key| key.terms.set_enabled_at(enabled_at)).await;
    front.sts(&session, &identity).await.refused(403, "ExpiredToken");
    let unknown = Client::key("0000000000000000", "secret");
    front.sts(&unknown, &identity).await.refused(403, "InvalidClientTokenId");
    let wrong = Client { secret: "x".repeat(48), ..Client::alice() };
    front.sts(&wrong, &identity).await.refused(403, "SignatureDoesNotMatch");
}
