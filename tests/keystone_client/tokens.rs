//! Which caller each kind of token makes.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tower_credentials::{
    auth::{AuthError, Presented, TokenValidator},
    domain::{Caller, Delegation, Scope, SecretText},
    keystone::KeystoneValidator,
};

use crate::scripted::{Keystone, START, token};

async fn caller(changes: Value) -> Caller {
    let keystone = Keystone::start().await;
    keystone.know("t", changes);
    let validator = KeystoneValidator::new(keystone.client()).login_methods(["ec2credential"]);
    Caller::clone(&validator.validate(&token("t")).await.unwrap())
}

#[tokio::test]
async fn password_login_makes_its_user_the_caller() {
    let amy = caller(json!({})).await;
    assert_eq!(amy.user_id.as_str(), "amy");
    assert_eq!(amy.project_id().unwrap().as_str(), "demo");
    assert_eq!(amy.roles.iter().collect::<Vec<_>>(), ["member", "reader"]);
    assert_eq!(amy.expires_at, Some(UNIX_EPOCH + START + Duration::from_hours(1)));
    assert_eq!(amy.delegation, None);
}

#[tokio::test]
async fn scope_of_the_token_is_the_scope_of_the_caller() {
    let domain = caller(json!({"project": null, "domain": {"id": "d", "name": "D"}})).await;
    assert_eq!(domain.scope, Scope::Domain("d".into()));
    let system = caller(json!({"project": null, "system": {"all": true}})).await;
    assert_eq!(system.scope, Scope::System);
    let unscoped = caller(json!({"project": null, "roles": null})).await;
    assert_eq!((unscoped.scope, unscoped.roles.len()), (Scope::Unscoped, 0));
}

#[tokio::test]
async fn each_kind_of_delegation_is_recognized() {
    let trust = json!({"id": "t1", "impersonation": true});
    let trust = json!({"OS-TRUST:trust": trust, "methods": ["token", "password"]});
    let of_application = |credential: Value| json!({"methods": ["application_credential"], "application_credential": credential});
    let id = |id: &str| id.to_owned();
    for (changes, delegation) in [
        (trust, Delegation::Trust { id: id("t1") }),
        (
            of_application(json!({"id": "a1", "name": "a", "restricted": false})),
            Delegation::ApplicationCredential { id: id("a1"), restricted: false },
        ),
        (
            of_application(json!({"id": "a2"})),
            Delegation::ApplicationCredential { id: id("a2"), restricted: true },
        ),
        (
            json!({"OS-OAUTH1": {"access_token_id": "o1", "consumer_id": "c"}}),
            Delegation::AccessToken { id: id("o1") },
        ),
        (json!({"methods": ["oauth2_credential"]}), Delegation::Other),
        (json!({"methods": ["password", "of-the-site"]}), Delegation::Other),
        (json!({"methods": []}), Delegation::Other),
        (json!({"methods": null}), Delegation::Other),
    ] {
        assert_eq!(caller(changes.clone()).await.delegation, Some(delegation), "{changes}");
    }
}

#[tokio::test]
async fn ec2credential_takes_precedence_over_other_delegations() {
    let trust = json!({"id": "t1", "impersonation": true});
    for changes in [
        json!({"methods": ["ec2credential"]}),
        json!({"methods": ["password", "ec2credential"]}),
        json!({"methods": ["ec2credential"], "OS-TRUST:trust": trust}),
    ] {
        let delegation = caller(changes.clone()).await.delegation;
        assert_eq!(delegation, Some(Delegation::Ec2Credential), "{changes}");
    }
}

#[tokio::test]
async fn site_can_add_login_methods() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({"methods": ["smartcard", "totp"]}));
    let validator = KeystoneValidator::new(keystone.client()).login_methods(["smartcard"]);
    assert_eq!(validator.validate(&token("t")).await.unwrap().delegation, None);
}

#[tokio::test]
async fn text_that_cannot_be_a_token_is_rejected_without_a_call() {
    let keystone = Keystone::start().await;
    let validator = KeystoneValidator::new(keystone.client());
    let long = "x".repeat(9_000);
    for bad in ["", " ", "a b", "a\nb", "a\u{e9}", &long] {
        let refused = validator.validate(&token(bad)).await;
        assert!(matches!(refused, Err(AuthError::Invalid)), "{bad:?}");
    }
    let basic = Presented::Basic { username: "amy".into(), password: SecretText::new("t") };
    assert!(matches!(validator.validate(&basic).await, Err(AuthError::Invalid)));
    assert_eq!((keystone.take_calls().len(), keystone.logins()), (0, 0));
}

#[tokio::test]
async fn token_that_has_expired_by_the_local_clock_is_rejected() {
    let keystone = Keystone::start().await;
    keystone.know("t", json!({}));
    keystone.clock.advance(Duration::from_hours(1));
    let validator = KeystoneValidator::new(keystone.client());
    assert!(matches!(validator.validate(&token("t")).await, Err(AuthError::Invalid)));
}
