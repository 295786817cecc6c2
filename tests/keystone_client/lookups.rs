//! Lookups of users, projects, memberships and delegations.

use std::time::Duration;

use serde_json::{Value, json};
use tower_credentials::{
    directory::{Directory, Membership, Role},
    domain::{Delegation, ProjectId, UserId},
    keystone::KeystoneDirectory,
};

use crate::scripted::{Keystone, Reply, after};

const ASSIGNMENTS: &str =
    "GET /role_assignments?user.id=amy&scope.project.id=demo&effective&include_names";

fn amy() -> UserId {
    UserId::new("amy").unwrap()
}

fn demo() -> ProjectId {
    ProjectId::new("demo").unwrap()
}

fn user(id: &str, enabled: bool) -> Value {
    json!({"user": {"id": id, "name": "Amy", "domain_id": "d", "enabled": enabled,
        "default_project_id": "demo", "password_expires_at": null}})
}

fn assignments(roles: &[&str]) -> Value {
    let held = roles.iter().map(|role| json!({"role": {"id": role, "name": role}}));
    json!({"role_assignments": held.collect::<Vec<_>>(), "links": {}})
}

/// A Keystone with user `amy` and project `demo`, in domain `d`.
async fn world() -> (Keystone, KeystoneDirectory) {
    let keystone = Keystone::start().await;
    keystone.json("GET /users/amy", user("amy", true));
    keystone.json("GET /users/bob", user("bob", true));
    let project = json!({"id": "demo", "name": "Demo", "domain_id": "d", "enabled": true});
    keystone.json("GET /projects/demo", json!({"project": project}));
    keystone.json("GET /domains/d", json!({"domain": {"id": "d", "name": "D", "enabled": true}}));
    keystone.json(ASSIGNMENTS, assignments(&["reader", "member", "reader"]));
    let implies = json!({"prior_role": {"id": "member", "name": "member"},
        "implies": [{"id": "reader", "name": "reader"}]});
    keystone.json("GET /role_inferences", json!({"role_inferences": [implies]}));
    let directory = KeystoneDirectory::new(keystone.client());
    (keystone, directory)
}

/// The same, with a directory that caches nothing.
async fn uncached() -> (Keystone, KeystoneDirectory) {
    let (keystone, _) = world().await;
    let client = keystone.builder().cache_ttl(Duration::ZERO).build().unwrap();
    (keystone, KeystoneDirectory::new(client))
}

fn names(roles: &[Role]) -> Vec<&str> {
    roles.iter().map(|role| &*role.name).collect()
}

#[tokio::test]
async fn user_and_project_are_returned_with_their_domain() {
    let (_keystone, directory) = world().await;
    let user = directory.user(&amy()).await.unwrap().unwrap();
    assert_eq!((&*user.name, &*user.domain.id, &*user.domain.name), ("Amy", "d", "D"));
    assert_eq!((user.enabled, user.default_project_id), (true, Some(demo())));
    let project = directory.project(&demo()).await.unwrap().unwrap();
    assert_eq!((&*project.name, &*project.domain.name, project.enabled), ("Demo", "D", true));
    let Membership { roles, .. } = directory.membership(&amy(), &demo()).await.unwrap().unwrap();
    assert_eq!(names(&roles), ["member", "reader"]);
}

#[tokio::test]
async fn users_and_projects_of_a_disabled_domain_are_disabled() {
    let (keystone, directory) = world().await;
    keystone.json("GET /domains/d", json!({"domain": {"id": "d", "name": "D", "enabled": false}}));
    assert!(!directory.user(&amy()).await.unwrap().unwrap().enabled);
    assert!(!directory.project(&demo()).await.unwrap().unwrap().enabled);
}

#[tokio::test]
async fn unreadable_domain_is_named_by_its_id() {
    let (keystone, directory) = world().await;
    for reply in [Reply::Json(403, json!({})), Reply::not_found()] {
        keystone.reply("GET /domains/d", reply);
        let directory = KeystoneDirectory::new(keystone.client());
        let user = directory.user(&amy()).await.unwrap().unwrap();
        assert_eq!((&*user.domain.name, user.enabled), ("d", true));
    }
    keystone.reply("GET /domains/d", Reply::Json(500, json!({})));
    assert!(directory.user(&amy()).await.is_err());
}

#[tokio::test]
async fn unknown_user_is_none_and_directory_failure_is_an_error() {
    let (keystone, directory) = uncached().await;
    let nobody = UserId::new("nobody").unwrap();
    assert_eq!(directory.user(&nobody).await.unwrap(), None);
    assert_eq!(directory.project(&ProjectId::new("none").unwrap()).await.unwrap(), None);
    assert_eq!(directory.membership(&nobody, &demo()).await.unwrap(), None);
    keystone.json(ASSIGNMENTS, assignments(&[]));
    assert_eq!(directory.membership(&amy(), &demo()).await.unwrap(), None);
    for reply in [
        Reply::Json(500, json!({})),
        Reply::Json(404, json!("no such path")),
        Reply::Text("{}"),
        Reply::HangUp,
        Reply::Hang,
    ] {
        for call in ["GET /users/amy", "GET /projects/demo", ASSIGNMENTS, "GET /OS-TRUST/trusts/t"]
        {
            keystone.reply(call, reply.clone());
        }
        assert!(directory.user(&amy()).await.is_err(), "{reply:?}");
        assert!(directory.project(&demo()).await.is_err(), "{reply:?}");
        assert!(directory.membership(&amy(), &demo()).await.is_err(), "{reply:?}");
        let trust = Delegation::Trust { id: "t".into() };
        assert!(directory.delegation(&amy(), &trust).await.is_err(), "{reply:?}");
    }
}

#[tokio::test]
async fn service_user_without_a_role_gets_an_error_that_says_so() {
    let (keystone, directory) = world().await;
    keystone.reply("GET /users/amy", Reply::Json(403, json!({})));
    let error = directory.user(&amy()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("read users: it needs the role"), "{cause}");
}

#[tokio::test]
async fn ids_are_encoded_as_one_path_segment() {
    let (keystone, directory) = world().await;
    for id in [".", ".."] {
        assert_eq!(directory.user(&UserId::new(id).unwrap()).await.unwrap(), None);
    }
    for id in ["../projects", "a/b", "a?b=c#d", "%2e%2e", "ä \"&"] {
        directory.user(&UserId::from_stored(id)).await.unwrap();
        directory.membership(&UserId::from_stored(id), &demo()).await.unwrap();
    }
    let calls = keystone.take_calls();
    assert!(calls.contains(&"GET /users/a%3Fb%3Dc%23d".to_owned()), "{calls:?}");
    assert!(calls.contains(&"GET /users/%252e%252e".to_owned()), "{calls:?}");
    assert!(calls.iter().all(|call| call.matches('/').count() <= 2), "{calls:?}");
    assert!(calls.iter().all(|call| call.matches('&').count() != 1), "{calls:?}");
}

#[tokio::test]
async fn id_in_another_case_is_unknown() {
    let (keystone, directory) = world().await;
    keystone.json("GET /users/AMY", user("amy", true));
    assert_eq!(directory.user(&UserId::new("AMY").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn answers_are_cached_and_a_disabled_user_takes_effect_within_the_ttl() {
    let (keystone, directory) = world().await;
    directory.user(&amy()).await.unwrap();
    keystone.json("GET /users/amy", user("amy", false));
    keystone.clock.advance(Duration::from_secs(59));
    assert!(directory.user(&amy()).await.unwrap().unwrap().enabled);
    assert_eq!(keystone.take_calls(), ["GET /users/amy", "GET /domains/d"]);
    keystone.clock.advance(Duration::from_secs(1));
    assert!(!directory.user(&amy()).await.unwrap().unwrap().enabled);
}

fn trust(impersonation: bool) -> Value {
    json!({"trust": {"id": "t", "trustor_user_id": "amy", "trustee_user_id": "bob",
        "impersonation": impersonation, "project_id": "demo", "deleted_at": null,
        "roles": [{"id": "member", "name": "member"}], "redelegated_trust_id": null,
        "expires_at": after(600)}})
}

#[tokio::test]
async fn trust_grants_its_roles_while_both_users_are_enabled_and_the_trustor_has_them() {
    let (keystone, directory) = uncached().await;
    let by_trust = Delegation::Trust { id: "t".into() };
    assert_eq!(directory.delegation(&amy(), &by_trust).await.unwrap(), None);
    for (impersonation, acting) in [(true, "amy"), (false, "bob")] {
        keystone.json("GET /OS-TRUST/trusts/t", trust(impersonation));
        let access = directory.delegation(&amy(), &by_trust).await.unwrap().unwrap();
        assert_eq!(access.user_id.as_str(), acting);
        assert_eq!(access.project_id, Some(demo()));
        assert_eq!(names(&access.roles), ["member", "reader"]);
    }
    keystone.json(ASSIGNMENTS, assignments(&["reader"]));
    assert_eq!(directory.delegation(&amy(), &by_trust).await.unwrap(), None);
    keystone.json(ASSIGNMENTS, assignments(&["member", "reader"]));
    for gone in ["amy", "bob"] {
        keystone.json(&format!("GET /users/{gone}"), user(gone, false));
        assert_eq!(directory.delegation(&amy(), &by_trust).await.unwrap(), None, "{gone}");
        keystone.json(&format!("GET /users/{gone}"), user(gone, true));
    }
    assert!(directory.delegation(&amy(), &by_trust).await.unwrap().is_some());
    keystone.clock.advance(Duration::from_mins(10));
    assert_eq!(directory.delegation(&amy(), &by_trust).await.unwrap(), None);
}

#[tokio::test]
async fn redelegated_trust_depends_on_the_first_trustor() {
    let (keystone, directory) = world().await;
    let mut passed_on = trust(false);
    passed_on["trust"]["redelegated_trust_id"] = json!("first");
    passed_on["trust"]["trustor_user_id"] = json!("carl");
    keystone.json("GET /OS-TRUST/trusts/t", passed_on);
    keystone.json("GET /users/carl", user("carl", true));
    keystone.json("GET /OS-TRUST/trusts/first", trust(false));
    let by_trust = Delegation::Trust { id: "t".into() };
    let access = directory.delegation(&amy(), &by_trust).await.unwrap().unwrap();
    assert_eq!(names(&access.roles), ["member", "reader"]);
}

#[tokio::test]
async fn application_credential_grants_the_roles_that_its_owner_still_has() {
    let (keystone, directory) = uncached().await;
    let roles = json!([{"id": "member", "name": "member"}, {"id": "admin", "name": "admin"}]);
    // Keystone omits the time zone here.
    let expires_at = after(600).trim_end_matches('Z').to_owned();
    let body = json!({"application_credential": {"id": "a", "user_id": "amy",
        "project_id": "demo", "roles": roles, "expires_at": expires_at}});
    keystone.json("GET /users/amy/application_credentials/a", body.clone());
    keystone.json("GET /users/bob/application_credentials/a", body);
    let by_it = Delegation::ApplicationCredential { id: "a".into(), restricted: true };
    let access = directory.delegation(&amy(), &by_it).await.unwrap().unwrap();
    assert_eq!((access.user_id, names(&access.roles)), (amy(), vec!["member"]));
    // Keystone returns it for any user in the path.
    let bob = UserId::new("bob").unwrap();
    assert_eq!(directory.delegation(&bob, &by_it).await.unwrap(), None);
    keystone.clock.advance(Duration::from_mins(10));
    assert_eq!(directory.delegation(&amy(), &by_it).await.unwrap(), None);
}

#[tokio::test]
async fn access_token_grants_its_own_roles() {
    let (keystone, directory) = world().await;
    let body = json!({"access_token": {"id": "o", "consumer_id": "c", "project_id": "demo",
        "authorizing_user_id": "amy", "expires_at": null}});
    keystone.json("GET /users/amy/OS-OAUTH1/access_tokens/o", body);
    let roles = json!({"roles": [{"id": "member", "name": "member"}]});
    keystone.json("GET /users/amy/OS-OAUTH1/access_tokens/o/roles", roles);
    let by_it = Delegation::AccessToken { id: "o".into() };
    let access = directory.delegation(&amy(), &by_it).await.unwrap().unwrap();
    assert_eq!((access.project_id, names(&access.roles)), (Some(demo()), vec!["member", "reader"]));
}

#[tokio::test]
async fn delegations_without_a_record_grant_nothing() {
    let (keystone, directory) = world().await;
    for none in [Delegation::Ec2Credential, Delegation::Other] {
        assert_eq!(directory.delegation(&amy(), &none).await.unwrap(), None);
    }
    assert_eq!(keystone.take_calls().len(), 0);
}
