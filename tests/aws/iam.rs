//! IAM: the keys of the user whose key signs.

use std::{sync::Arc, time::Duration};

use test_support::{permissive::Permissive, thread_log};
use tower_credentials::{
    CredentialLayerBuilder, RequestId,
    aws::AwsWires,
    backend::CredentialBackend,
    clock::Clock,
    directory::{Project, StaticDirectory, User},
    domain::{AccessKey, Delegation, ProjectId, Quota, UserId},
};

use crate::front::{ACCESS, Answer, Client, Front, IAM, SECRET, STS};

const XMLNS: &str = r#"xmlns="https://iam.amazonaws.com/doc/2010-05-08/""#;

/// The access key of bob.
const BOBS: &str = "b0b0b0b0b0b0b0b0";

const CREATE: [(&str, &str); 1] = [("Action", "CreateAccessKey")];

/// The new key in a response.
fn created(answer: &Answer) -> Client {
    answer.ok();
    Client::key(&answer.text("AccessKeyId"), &answer.text("SecretAccessKey"))
}

/// Adds a key of bob's and a key of alice's in another project, and checks that alice's key finds
/// neither.
async fn check_reach(front: &Front) {
    let elsewhere = "e15e3e15e3e15e3e";
    front.add(test_support::records::pair_in("demo", "bob", BOBS, &"b".repeat(48))).await;
    front.add(test_support::records::pair_in("other", "alice", elsewhere, &"e".repeat(48))).await;
    for access in [BOBS, elsewhere, "0000000000000000"] {
        for params in [
            &[("Action", "DeleteAccessKey"), ("AccessKeyId", access)][..],
            &[("Action", "UpdateAccessKey"), ("AccessKeyId", access), ("Status", "Inactive")],
            &[("Action", "GetAccessKeyLastUsed"), ("AccessKeyId", access)],
        ] {
            front.iam(&Client::alice(), params).await.refused(404, "NoSuchEntity");
        }
    }
    let list = front.iam(&Client::alice(), &[("Action", "ListAccessKeys")]).await;
    assert_eq!(list.texts("AccessKeyId"), [ACCESS]);
}

#[tokio::test]
async fn created_key_works_and_its_secret_is_shown_once() {
    let front = Front::new().await;
    let answer = front.iam(&Client::alice(), &CREATE).await;
    let key = created(&answer);
    let (access, secret) = (&key.access, &key.secret);
    assert_eq!(
        answer.body(),
        format!(
            "<CreateAccessKeyResponse {XMLNS}><CreateAccessKeyResult><AccessKey>\
             <UserName>alice</UserName><AccessKeyId>{access}</AccessKeyId><Status>Active</Status>\
             <SecretAccessKey>{secret}</SecretAccessKey>\
             <CreateDate>2026-01-02T03:04:05Z</CreateDate></AccessKey></CreateAccessKeyResult>\
             <ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata>\
             </CreateAccessKeyResponse>"
        )
    );
    assert!(front.admits(&key, "GET", "/b/k").await);
    let list = front.iam(&Client::alice(), &[("Action", "ListAccessKeys")]).await;
    assert!(!list.body.contains(secret), "{}", list.body);
    let stored = front.backend.find_by_access_key(&AccessKey::from_stored(access.as_str())).await;
    let stored = stored.unwrap().unwrap();
    assert_eq!(stored.user_id.as_str(), "alice");
    assert_eq!(stored.project_id, Some(ProjectId::new("demo").unwrap()));
}

#[tokio::test]
async fn key_is_disabled_enabled_and_deleted() {
    let front = Front::new().await;
    let key = created(&front.iam(&Client::alice(), &CREATE).await);
    let id = ("AccessKeyId", &*key.access);
    for (status, works) in [("Inactive", false), ("Inactive", false), ("Active", true)] {
        let params = [("Action", "UpdateAccessKey"), id, ("Status", status), ("UserName", "alice")];
        let answer = front.iam(&Client::alice(), &params).await;
        answer.ok();
        // An action without a result has no element for it.
        assert_eq!(
            answer.body(),
            format!(
                "<UpdateAccessKeyResponse {XMLNS}><ResponseMetadata><RequestId>ID</RequestId>\
                 </ResponseMetadata></UpdateAccessKeyResponse>"
            )
        );
        assert_eq!(front.admits(&key, "GET", "/b/k").await, works, "{status}");
    }
    // A key may delete itself, as clients do that rotate their own key.
    front.iam(&key, &[("Action", "DeleteAccessKey"), id]).await.ok();
    assert!(!front.admits(&key, "GET", "/b/k").await);
    front
        .iam(&Client::alice(), &[("Action", "DeleteAccessKey"), id])
        .await
        .refused(404, "NoSuchEntity");
}

#[tokio::test]
async fn list_has_pages_with_markers() {
    let front = Front::new().await;
    let mut all = vec![ACCESS.to_owned()];
    for _ in 0..4 {
        all.push(created(&front.iam(&Client::alice(), &CREATE).await).access);
    }
    all.sort();
    let (mut listed, mut marker, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let mut params = vec![("Action", "ListAccessKeys"), ("MaxItems", "2")];
        params.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = front.iam(&Client::alice(), &params).await;
        page.ok();
        listed.extend(page.texts("AccessKeyId"));
        pages += 1;
        if page.text("IsTruncated") == "false" {
            assert_eq!(page.texts("Marker"), [""; 0]);
            break;
        }
        marker = Some(page.text("Marker"));
        // A key that is gone still marks its place.
        if pages == 1 {
            let id = ("AccessKeyId", marker.as_deref().unwrap());
            let other = Client::key(&all[4], "");
            assert_ne!(id.1, other.access);
        }
    }
    assert_eq!((listed, pages), (all, 3));
    for bad in ["0", "1001", "-1", "x", ""] {
        let params = [("Action", "ListAccessKeys"), ("MaxItems", bad)];
        front.iam(&Client::alice(), &params).await.refused(400, "ValidationError");
    }
}

#[tokio::test]
async fn page_continues_after_a_key_that_was_deleted() {
    let front = Front::new().await;
    for _ in 0..3 {
        created(&front.iam(&Client::alice(), &CREATE).await);
    }
    let list = |marker: Option<&str>| {
        let mut params = vec![("Action".to_owned(), "ListAccessKeys".to_owned())];
        params.push(("MaxItems".into(), "2".into()));
        params.extend(marker.map(|marker| ("Marker".to_owned(), marker.to_owned())));
        params
    };
    let ask = async |params: Vec<(String, String)>| {
        let params: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        front.iam(&Client::alice(), &params).await
    };
    let first = ask(list(None)).await;
    let marker = first.text("Marker");
    let keys = first.texts("AccessKeyId");
    assert_eq!(keys.last(), Some(&marker));
    let deleted = AccessKey::from_stored(&*marker);
    let found = front.backend.find_by_access_key(&deleted).await.unwrap().unwrap();
    if marker == ACCESS {
        // Alice's own key signs these requests.
        return;
    }
    assert!(front.backend.delete(&found.id, found.version).await.unwrap());
    let second = ask(list(Some(&marker))).await;
    assert_eq!(second.texts("AccessKeyId").len(), 2);
    assert_eq!(second.text("IsTruncated"), "false");
}

#[tokio::test]
async fn last_use_and_user_are_shown() {
    let front = Front::new().await;
    let params = [("Action", "GetAccessKeyLastUsed"), ("AccessKeyId", ACCESS)];
    let answer = front.iam(&Client::alice(), &params).await;
    answer.ok();
    assert_eq!(answer.text("UserName"), "alice");
    assert_eq!((answer.text("ServiceName"), answer.text("Region")), ("N/A".into(), "N/A".into()));
    assert_eq!(answer.texts("LastUsedDate"), [""; 0]);
    for params in [&[("Action", "GetUser")][..], &[("Action", "GetUser"), ("UserName", "alice")]] {
        let answer = front.iam(&Client::alice(), params).await;
        answer.ok();
        assert!(
            answer.body.contains(
                "<GetUserResult><User><Path>/</Path><UserName>alice</UserName>\
                 <UserId>AIDAFPMANSL7BYAK6GQ7</UserId>\
                 <Arn>arn:aws:iam::000000000000:user/alice</Arn>\
                 <CreateDate>1970-01-01T00:00:00Z</CreateDate></User></GetUserResult>"
            ),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn other_users_and_their_keys_are_out_of_reach_whatever_the_roles() {
    let directory = StaticDirectory::new()
        .with_user(User::new(UserId::new("alice").unwrap(), "Alice"))
        .with_user(User::new(UserId::new("bob").unwrap(), "Bob"))
        .with_project(Project::new(ProjectId::new("demo").unwrap(), "Demo"))
        .with_member(
            UserId::new("alice").unwrap(),
            ProjectId::new("demo").unwrap(),
            ["admin", "impersonate", "key_management_admin", "key_listing_admin"],
        )
        .with_member(UserId::new("bob").unwrap(), ProjectId::new("demo").unwrap(), ["member"]);
    let front = Front::with(|builder| builder.aws(AwsWires::new()).directory(directory)).await;
    check_reach(&front).await;
    for action in ["CreateAccessKey", "ListAccessKeys", "GetUser"] {
        let params = [("Action", action), ("UserName", "bob")];
        front.iam(&Client::alice(), &params).await.refused(403, "AccessDenied");
        let params = [("Action", action), ("UserName", "nobody")];
        front.iam(&Client::alice(), &params).await.refused(403, "AccessDenied");
    }

    // Each action needs its own role: listing is not enough to change, and the reverse.
    let bob = Client::key(BOBS, &"b".repeat(48));
    for params in [&CREATE[..], &[("Action", "ListAccessKeys")]] {
        front.iam(&bob, params).await.refused(403, "AccessDenied");
    }
}

#[tokio::test]
async fn policy_that_allows_everything_does_not_widen_the_reach_of_a_key() {
    let set = |builder: CredentialLayerBuilder| builder.aws(AwsWires::new()).policy(Permissive);
    let front = Front::with(set).await;
    check_reach(&front).await;
    created(&front.iam(&Client::alice(), &CREATE).await);
}

#[tokio::test]
async fn each_action_needs_its_own_role() {
    let of_roles = |roles: &[&str]| {
        StaticDirectory::new()
            .with_user(User::new(UserId::new("alice").unwrap(), "Alice"))
            .with_project(Project::new(ProjectId::new("demo").unwrap(), "Demo"))
            .with_member(
                UserId::new("alice").unwrap(),
                ProjectId::new("demo").unwrap(),
                roles.iter().copied(),
            )
    };
    let update = [("Action", "UpdateAccessKey"), ("AccessKeyId", ACCESS), ("Status", "Active")];
    let used = [("Action", "GetAccessKeyLastUsed"), ("AccessKeyId", ACCESS)];
    let list = [("Action", "ListAccessKeys")];
    let get_user = [("Action", "GetUser")];
    for (roles, create_and_update, list_and_show) in [
        (&["member"][..], false, false),
        (&["key_listing_user"], false, true),
        (&["key_management_user"], true, false),
        (&["key_management_user", "key_listing_user"], true, true),
        (&["key_management_admin"], true, false),
        (&["admin"], true, true),
        (&["service"], false, false),
    ] {
        let directory = of_roles(roles);
        let front = Front::with(|builder| builder.aws(AwsWires::new()).directory(directory)).await;
        for (params, fine) in [
            (&CREATE[..], create_and_update),
            (&update, create_and_update),
            (&list, list_and_show),
            (&used, list_and_show),
            (&get_user, true),
        ] {
            let answer = front.iam(&Client::alice(), params).await;
            if fine {
                answer.ok();
            } else {
                answer.refused(403, "AccessDenied");
            }
        }
    }
}

#[tokio::test]
async fn limited_signers_manage_no_keys() {
    let front = Front::new().await;
    let session = front.sts(&Client::alice(), &[("Action", "AssumeRole")]).await.issued();
    let id = ("AccessKeyId", ACCESS);
    let all = [
        &CREATE[..],
        &[("Action", "DeleteAccessKey"), id],
        &[("Action", "UpdateAccessKey"), id, ("Status", "Inactive")],
        &[("Action", "ListAccessKeys")],
        &[("Action", "GetAccessKeyLastUsed"), id],
        &[("Action", "GetUser"), ("UserName", "alice")],
    ];
    let check = async |client: &Client| {
        for params in all {
            front.iam(client, params).await.refused(403, "AccessDenied");
        }
    };
    check(&session).await;
    front.iam(&session, &[("Action", "GetUser")]).await.refused(400, "ValidationError");
    let boundary = r#"{"permission": "read-write", "buckets": ["b"]}"#;
    front.change(|key| key.terms.set_boundary(Some(boundary.to_owned()))).await;
    check(&Client::alice()).await;
    front.change(|key| key.terms.set_boundary(None)).await;
    front.change(|key| key.delegation = Some(Delegation::Trust { id: "t".into() })).await;
    check(&Client::alice()).await;
    front.change(|key| key.delegation = None).await;
    front.change(|key| key.project_id = None).await;
    check(&Client::alice()).await;
}

#[tokio::test]
async fn key_of_an_expiring_key_ends_no_later() {
    let front = Front::new().await;
    let end = front.clock.now() + Duration::from_hours(2);
    front.change(|key| key.terms.set_expires_at(Some(end))).await;
    let key = created(&front.iam(&Client::alice(), &CREATE).await);
    assert!(front.admits(&key, "GET", "/b/k").await);
    let stored = front.backend.find_by_access_key(&AccessKey::from_stored(&*key.access)).await;
    assert_eq!(stored.unwrap().unwrap().terms.expires_at(), Some(end));

    let set = |builder: CredentialLayerBuilder| {
        builder.aws(AwsWires::new()).max_key_life(Duration::from_hours(1))
    };
    let front = Front::with(set).await;
    front.change(|key| key.terms.set_expires_at(Some(end))).await;
    let key = created(&front.iam(&Client::alice(), &CREATE).await);
    let stored = front.backend.find_by_access_key(&AccessKey::from_stored(&*key.access)).await;
    let latest = front.clock.now() + Duration::from_hours(1);
    assert_eq!(stored.unwrap().unwrap().terms.expires_at(), Some(latest));
}

#[tokio::test]
async fn full_quota_is_limit_exceeded_whoever_races() {
    let set =
        |builder: CredentialLayerBuilder| builder.aws(AwsWires::new()).quota(Quota::AtMost(3));
    let front = Arc::new(Front::with(set).await);
    let mut creates = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let front = Arc::clone(&front);
        creates.spawn(async move { front.iam(&Client::alice(), &CREATE).await });
    }
    let answers = creates.join_all().await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 2);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refused(409, "LimitExceeded");
    }
}

#[tokio::test]
async fn actions_that_manage_users_are_refused_loudly() {
    let front = Front::new().await;
    for action in [
        "CreateUser",
        "ListUsers",
        "DeleteUser",
        "PutUserPolicy",
        "GetUserPolicy",
        "ListUserPolicies",
        "DeleteUserPolicy",
        "AttachUserPolicy",
        "AddUserToGroup",
        "TagUser",
        "CreateRole",
        "createaccesskey",
        "AssumeRole",
        "GetCallerIdentity",
    ] {
        let answer =
            front.iam(&Client::alice(), &[("Action", action), ("UserName", "alice")]).await;
        answer.refused(400, "InvalidAction");
        assert!(answer.text("Message").contains("directory"), "{}", answer.body);
    }
}

#[tokio::test]
async fn responses_have_the_request_id_that_the_server_inserted_and_their_action() {
    let front = Front::new().await;
    let id = RequestId::parse("from-the.server:1").unwrap();
    let wrong = Client::key(ACCESS, "a-wrong-secret");
    for (client, service, version, action, status, route) in [
        (Client::alice(), "iam", IAM, "GetUser", 200, "aws_iam get_user"),
        (Client::alice(), "sts", STS, "GetCallerIdentity", 200, "aws_sts get_caller_identity"),
        (Client::alice(), "iam", IAM, "CreateUser", 400, "aws_iam other"),
        (wrong, "sts", STS, "GetCallerIdentity", 403, "aws_sts other"),
    ] {
        let mut request = front.signed(&client, service, version, &[("Action", action)]);
        request.extensions_mut().insert(id.clone());
        let answer = front.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.headers["x-amzn-requestid"], id.as_str());
        assert_eq!(
            (answer.text("RequestId").as_str(), answer.route.as_str()),
            (id.as_str(), route)
        );
    }
}

#[tokio::test]
async fn changes_sessions_and_refusals_of_keys_are_audit_events() {
    thread_log::listen();
    let front = Front::new().await;
    let session = front.sts(&Client::alice(), &[("Action", "GetSessionToken")]).await.issued();
    front.iam(&Client::alice(), &[("Action", "CreateAccessKey")]).await;
    front.iam(&Client::alice(), &[("Action", "UpdateAccessKey"), ("Status", "Odd")]).await;
    front.iam(&session, &[("Action", "CreateAccessKey")]).await;
    front.iam(&Client::alice(), &[("Action", "ListAccessKeys")]).await;
    let log = thread_log::take();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("::audit: ")).collect();
    let key = format!("caller_key=\"{ACCESS}\"");
    let caller_session = format!("caller_session=\"{}\"", session.access);
    let expected: [&[&str]; 4] = [
        &["session issued ", "holder=\"user\"", &key],
        &["credential created ", "user_id=\"alice\"", &key],
        &["credential update refused ", "reason=", &key],
        &["credential create refused ", "reason=\"access_denied\"", &key, &caller_session],
    ];
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, parts) in lines.iter().zip(expected) {
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} are not in {line}");
    }
    assert!(!log.contains(&session.secret) && !log.contains(SECRET), "{log}");
}
