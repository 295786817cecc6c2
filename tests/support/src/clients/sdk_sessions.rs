//! STS and IAM with AWS's SDK for Rust, which accepts no other frame around a response than AWS's.

use aws_credential_types::Credentials;
use aws_sdk_iam::{error::ProvideErrorMetadata, types::StatusType};
use aws_sdk_sts::{config::Region, error::SdkError};
use aws_smithy_http_client::Builder;
use http::StatusCode;

use crate::{
    clients::{
        lifecycle::Holder,
        sessions::{Lab, POLICY},
    },
    keys::{ALICE, Key},
    process::Program,
};

fn credentials(key: &Key, token: Option<String>) -> Credentials {
    Credentials::new(&key.access, &key.secret, token, None, "tests")
}

fn sts(holder: &Holder, credentials: Credentials) -> aws_sdk_sts::Client {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version_latest()
        .credentials_provider(credentials)
        .endpoint_url(&holder.url)
        .http_client(Builder::new().build_http())
        .region(Region::new("local-01"));
    aws_sdk_sts::Client::from_conf(config.build())
}

fn iam(holder: &Holder, credentials: Credentials) -> aws_sdk_iam::Client {
    let config = aws_sdk_iam::Config::builder()
        .behavior_version_latest()
        .credentials_provider(credentials)
        .endpoint_url(&holder.url)
        .http_client(Builder::new().build_http())
        .region(Region::new("local-01"));
    aws_sdk_iam::Client::from_conf(config.build())
}

/// Checks the code of an error that the server returned.
#[track_caller]
fn assert_code<T, E>(result: Result<T, SdkError<E>>, code: &str)
where
    T: std::fmt::Debug,
    SdkError<E>: ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.expect_err(code);
    assert_eq!(error.code(), Some(code), "{error:?}");
    assert!(error.message().is_some_and(|message| !message.is_empty()), "{error:?}");
}

pub async fn rust_sdk_assumes_a_role_as_a_catalog_does(program: Program) {
    let lab = Lab::start(program).await;
    let sts = self::sts(&lab.holder, credentials(&lab.holder.key, None));
    // Without a role, and always with a policy.
    let assume = || sts.assume_role().role_session_name("lakekeeper-sts").duration_seconds(3_600);
    let answer = assume().policy(POLICY).send().await.unwrap();
    let user = answer.assumed_role_user.unwrap();
    let arn = format!("arn:aws:sts::000000000000:assumed-role/{ALICE}/lakekeeper-sts");
    assert_eq!(user.arn, arn);
    assert!(user.assumed_role_id.ends_with(":lakekeeper-sts"), "{user:?}");
    let issued = answer.credentials.unwrap();
    assert!(issued.access_key_id.starts_with("ASIA"), "{}", issued.access_key_id);

    let key = Key { access: issued.access_key_id, secret: issued.secret_access_key };
    let session = credentials(&key, Some(issued.session_token));
    let as_session = self::sts(&lab.holder, session.clone());
    let identity = as_session.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some(&*arn));
    assert_eq!(identity.account(), Some("000000000000"));
    assert_eq!(identity.user_id(), Some(&*user.assumed_role_id));

    for (policy, code) in [
        ("{}", "MalformedPolicyDocument"),
        (&*POLICY.replace("team/*", &"x".repeat(2_000)), "PackedPolicyTooLarge"),
    ] {
        assert_code(assume().policy(policy).send().await, code);
    }
    assert_code(assume().duration_seconds(43_201).send().await, "ValidationError");
    assert_code(as_session.assume_role().send().await, "AccessDenied");
    assert_code(as_session.get_session_token().send().await, "AccessDenied");
    let wrong = Key { secret: "x".repeat(40), ..lab.holder.key.clone() };
    let wrong = self::sts(&lab.holder, credentials(&wrong, None));
    assert_code(wrong.get_caller_identity().send().await, "SignatureDoesNotMatch");
    let iam = self::iam(&lab.holder, session);
    assert_code(iam.create_access_key().send().await, "AccessDenied");
    lab.assert_unchanged().await;
}

pub async fn rust_sdk_creates_lists_and_deletes_keys(program: Program) {
    let lab = Lab::start(program).await;
    let iam = self::iam(&lab.holder, credentials(&lab.holder.key, None));
    let user = iam.get_user().send().await.unwrap().user.unwrap();
    assert_eq!(user.user_name, ALICE);
    assert_eq!(user.arn, format!("arn:aws:iam::000000000000:user/{ALICE}"));

    let made = iam.create_access_key().user_name(ALICE).send().await.unwrap();
    let made = made.access_key.unwrap();
    assert_eq!((&*made.user_name, &made.status), (ALICE, &StatusType::Active));
    let id = made.access_key_id;
    let mut pages = iam.list_access_keys().into_paginator().page_size(1).send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap().access_key_metadata;
        assert!(page.len() <= 1, "{page:?}");
        found.extend(page.into_iter().filter_map(|key| key.access_key_id));
    }
    for access in [&lab.holder.key.access, &id] {
        assert_eq!(found.iter().filter(|key| *key == access).count(), 1, "{found:?}");
    }
    let last = iam.get_access_key_last_used().access_key_id(&id).send().await.unwrap();
    assert_eq!(last.user_name(), Some(ALICE));

    let mut owner = lab.owner.clone();
    owner.key = Key { access: id.clone(), secret: made.secret_access_key };
    owner.get("data").await.expect(200);
    let disable = iam.update_access_key().access_key_id(&id).status(StatusType::Inactive);
    disable.send().await.unwrap();
    owner.get("data").await.refused("InvalidAccessKeyId");
    let delete = || iam.delete_access_key().access_key_id(&id).send();
    delete().await.unwrap();
    assert_code(delete().await, "NoSuchEntity");
    let other = iam.list_access_keys().user_name("somebody").send().await;
    assert_code(other, "AccessDenied");
    let raw = iam.list_users().send().await.unwrap_err();
    let status = raw.raw_response().map(|response| response.status().as_u16());
    assert_eq!(status, Some(StatusCode::BAD_REQUEST.as_u16()));
    assert_eq!(raw.code(), Some("InvalidAction"));
}
