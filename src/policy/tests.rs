//! The strict table, cell by cell, in every dialect.

use super::*;
use crate::domain::{Delegation, Scope};

const A: Decision = Decision::Allow;
const F: Decision = Decision::Forbid;
const H: Decision = Decision::Hide;

const KEY_ACTIONS: [Action; 6] = [
    Action::CreateKey,
    Action::ListKeys,
    Action::ShowKey,
    Action::UpdateKey,
    Action::DeleteKey,
    Action::ShowSecret,
];

/// The same actions in v3.
const CREDENTIAL_ACTIONS: [Option<Action>; 6] = [
    Some(Action::CreateCredential),
    Some(Action::ListCredentials),
    Some(Action::ShowCredential),
    Some(Action::UpdateCredential),
    Some(Action::DeleteCredential),
    Some(Action::ShowCredentialSecret),
];
/// The same actions through OS-EC2, which has no update.
const EC2_ACTIONS: [Option<Action>; 6] = [
    Some(Action::CreateEc2),
    Some(Action::ListEc2),
    Some(Action::ShowEc2),
    None,
    Some(Action::DeleteEc2),
    Some(Action::ShowCredentialSecret),
];

const GRANT_ACTIONS: [Action; 5] = [
    Action::CreateGrant,
    Action::DeleteGrant,
    Action::ListGrants,
    Action::ShowGrant,
    Action::UpdateGrant,
];

/// The owner and project of each column, for the caller `me` with the scope `mine`.
const TARGETS: [(&str, Option<&str>); 7] = [
    ("me", Some("mine")),
    ("me", None),
    ("peer", Some("mine")),
    ("mine", Some("mine")),
    ("me", Some("other")),
    ("peer", Some("other")),
    ("other", Some("other")),
];

fn caller(roles: &[&str]) -> Caller {
    let scope = Scope::Project(ProjectId::new("mine").unwrap());
    Caller::new(UserId::new("me").unwrap(), scope).with_roles(roles.iter().copied())
}

fn decide(caller: &Caller, action: Action, target: (&str, Option<&str>)) -> Decision {
    decide_for(caller, action, target, None)
}

/// The decision on a record of this type. A record with equal ids is a root key.
fn decide_for(
    caller: &Caller,
    action: Action,
    (user, project): (&str, Option<&str>),
    kind: Option<&Kind>,
) -> Decision {
    let root_key = Some(user) == project;
    let user = UserId::new(user).unwrap();
    let project = project.map(|id| ProjectId::new(id).unwrap());
    let (user_id, project_id) = (Some(&user), project.as_ref());
    // The strict table is the same with and without a directory.
    [false, true]
        .map(|directory| {
            let target = Target { user_id, project_id, kind, root_key, directory };
            RolePolicy::default().decide(caller, action, target)
        })
        .into_iter()
        .reduce(|one, other| {
            assert_eq!(one, other, "{action:?}");
            one
        })
        .unwrap()
}

#[track_caller]
fn assert_table(roles: &[&str], table: [[Decision; 7]; 6]) {
    let caller = caller(roles);
    for (action, row) in KEY_ACTIONS.into_iter().zip(table) {
        for (target, expected) in TARGETS.into_iter().zip(row) {
            let decision = decide(&caller, action, target);
            assert_eq!(decision, expected, "{roles:?} {action:?} {target:?}");
        }
    }
    for actions in [CREDENTIAL_ACTIONS, EC2_ACTIONS] {
        for (action, row) in actions.into_iter().zip(table) {
            let Some(action) = action else { continue };
            for (target, expected) in TARGETS.into_iter().zip(row) {
                let decision = decide_for(&caller, action, target, Some(&Kind::ec2()));
                // Keystone's dialects do not hide records by the policy's decision.
                let expected = if expected == H { F } else { expected };
                assert_eq!(decision, expected, "{roles:?} {action:?} {target:?}");
            }
        }
    }
}

// Columns: the caller's key in its project, the caller's key without a project, another user's
// key in the project, the project's root key, the caller's key in another project, another
// user's key there, the root key there.

#[test]
fn management_user_manages_own_keys_in_the_own_project() {
    assert_table(
        &["key_management_user"],
        [
            [A, A, F, F, F, F, F], // create
            [F, F, F, F, F, F, F], // list
            [F, F, F, F, F, F, F], // show
            [A, A, H, H, H, H, H], // update
            [A, A, H, H, H, H, H], // delete
            [A, A, F, F, A, F, F], // secret
        ],
    );
}

#[test]
fn management_admin_manages_all_keys_and_root_keys_of_the_own_project() {
    assert_table(
        &["key_management_admin"],
        [
            [A, A, A, A, F, F, F],
            [F, F, F, F, F, F, F],
            [F, F, F, F, F, F, F],
            [A, A, A, A, H, H, H],
            [A, A, A, A, H, H, H],
            [A, A, F, F, A, F, F],
        ],
    );
}

#[test]
fn listing_user_sees_own_keys_in_the_own_project() {
    assert_table(
        &["key_listing_user"],
        [
            [F, F, F, F, F, F, F],
            [A, A, F, F, F, F, F],
            [A, A, H, H, H, H, H],
            [F, F, F, F, F, F, F],
            [F, F, F, F, F, F, F],
            [A, A, F, F, A, F, F],
        ],
    );
}

#[test]
fn listing_admin_sees_all_keys_of_the_own_project() {
    assert_table(
        &["key_listing_admin"],
        [
            [F, F, F, F, F, F, F],
            [A, A, A, A, F, F, F],
            [A, A, A, A, H, H, H],
            [F, F, F, F, F, F, F],
            [F, F, F, F, F, F, F],
            [A, A, F, F, A, F, F],
        ],
    );
}

#[test]
fn visible_key_that_may_not_be_managed_is_forbidden_and_not_hidden() {
    assert_table(
        &["key_management_user", "key_listing_admin"],
        [
            [A, A, F, F, F, F, F],
            [A, A, A, A, F, F, F],
            [A, A, A, A, H, H, H],
            [A, A, F, F, H, H, H],
            [A, A, F, F, H, H, H],
            [A, A, F, F, A, F, F],
        ],
    );
}

#[test]
fn impersonate_alone_manages_and_lists_nothing() {
    assert_table(&["impersonate"], [[F; 7], [F; 7], [F; 7], [F; 7], [F; 7], [A; 7]]);
}

#[test]
fn impersonate_extends_the_other_roles_to_all_projects() {
    assert_table(
        &["impersonate", "key_management_user", "key_listing_user"],
        [
            [A, A, F, F, A, F, F],
            [A, A, F, F, A, F, F],
            [A, A, H, H, A, H, H],
            [A, A, H, H, A, H, H],
            [A, A, H, H, A, H, H],
            [A; 7],
        ],
    );
    assert_table(&["impersonate", "key_management_admin", "key_listing_admin"], [[A; 7]; 6]);
}

#[test]
fn admin_may_do_everything_and_other_roles_nothing() {
    assert_table(&["admin"], [[A; 7]; 6]);
    for roles in [&["member", "reader", "service"][..], &[]] {
        let secret = [A, A, F, F, A, F, F];
        assert_table(roles, [[F; 7], [F; 7], [F; 7], [F; 7], [F; 7], secret]);
    }
}

#[test]
fn v2_grants_are_for_admins() {
    let all_but_admin = [
        "impersonate",
        "key_listing_admin",
        "key_listing_user",
        "key_management_admin",
        "key_management_user",
        "member",
        "service",
    ];
    for action in GRANT_ACTIONS {
        for target in TARGETS {
            assert_eq!(decide(&caller(&["admin"]), action, target), A, "{action:?}");
            assert_eq!(decide(&caller(&all_but_admin), action, target), F, "{action:?}");
        }
    }
}

#[test]
fn delegated_callers_may_do_nothing_even_as_admin() {
    let delegations = [
        Delegation::AccessToken { id: "x".into() },
        Delegation::ApplicationCredential { id: "x".into(), restricted: false },
        Delegation::Ec2Credential,
        Delegation::Other,
        Delegation::Trust { id: "x".into() },
    ];
    for delegation in delegations {
        let caller = caller(&["admin", "key_management_user"]).with_delegation(delegation);
        for action in KEY_ACTIONS.into_iter().chain(GRANT_ACTIONS) {
            assert_eq!(decide(&caller, action, TARGETS[0]), F, "{action:?}");
            assert_eq!(RolePolicy::default().list_scope(&caller, action), None, "{action:?}");
        }
    }
}

#[test]
fn caller_without_a_project_reaches_only_own_keys_without_a_project() {
    let caller = Caller::new(UserId::new("me").unwrap(), Scope::Unscoped)
        .with_roles(["key_management_admin", "key_listing_admin"]);
    for (target, expected) in TARGETS.into_iter().zip([H, A, H, H, H, H, H]) {
        assert_eq!(decide(&caller, Action::ShowKey, target), expected, "{target:?}");
    }
}

#[test]
fn only_admins_reach_another_users_key_without_a_project() {
    let roles = ["key_management_admin", "key_listing_admin", "impersonate"];
    let theirs = ("peer", None);
    for action in [CREDENTIAL_ACTIONS, EC2_ACTIONS].into_iter().flatten().flatten() {
        if action == Action::ShowCredentialSecret {
            continue;
        }
        let pair = Some(Kind::ec2());
        assert_eq!(decide_for(&caller(&roles), action, theirs, pair.as_ref()), F, "{action:?}");
        assert_eq!(decide_for(&caller(&["admin"]), action, theirs, pair.as_ref()), A, "{action:?}");
    }
}

#[test]
fn user_with_the_id_of_a_project_does_not_own_its_root_keys() {
    let mut caller = caller(&["key_management_user", "key_listing_user"]);
    caller.user_id = UserId::new("mine").unwrap();
    assert_eq!(decide(&caller, Action::CreateKey, ("mine", Some("mine"))), F);
    assert_eq!(decide(&caller, Action::ShowKey, ("mine", Some("mine"))), H);
    assert_eq!(decide(&caller, Action::ShowSecret, ("mine", Some("mine"))), F);
}

#[test]
fn lists_are_narrowed_to_the_records_that_the_roles_reach() {
    let scope = |roles: &[&str]| {
        let actions = [Action::ListKeys, Action::ListCredentials, Action::ShowCredential];
        let scopes = actions.map(|it| RolePolicy::default().list_scope(&caller(roles), it));
        assert!(scopes.iter().all(|scope| *scope == scopes[0]), "{roles:?}");
        scopes.into_iter().next().unwrap()
    };
    let me = Some(ListScope::User(UserId::new("me").unwrap()));
    let mine = Some(ListScope::Project(ProjectId::new("mine").unwrap()));
    assert_eq!(scope(&["admin"]), Some(ListScope::All));
    assert_eq!(scope(&["key_listing_user"]), me);
    assert_eq!(scope(&["key_listing_user", "impersonate"]), me);
    assert_eq!(scope(&["key_listing_admin"]), mine);
    assert_eq!(scope(&["key_listing_admin", "impersonate"]), Some(ListScope::All));
    assert_eq!(scope(&["impersonate"]), None);
    assert_eq!(scope(&["key_management_admin"]), None);
    let grants = RolePolicy::default().list_scope(&caller(&["admin"]), Action::ListGrants);
    assert_eq!(grants, Some(ListScope::All));
    let grants =
        RolePolicy::default().list_scope(&caller(&["key_listing_admin"]), Action::ListGrants);
    assert_eq!(grants, None);
}

#[test]
fn v3_changes_are_narrowed_to_the_records_that_the_management_roles_reach() {
    for action in [Action::UpdateCredential, Action::DeleteCredential] {
        let scope = |roles: &[&str]| RolePolicy::default().list_scope(&caller(roles), action);
        let me = Some(ListScope::User(UserId::new("me").unwrap()));
        let mine = Some(ListScope::Project(ProjectId::new("mine").unwrap()));
        assert_eq!(scope(&["key_management_user"]), me);
        assert_eq!(scope(&["key_management_admin"]), mine);
        assert_eq!(scope(&["key_management_admin", "impersonate"]), Some(ListScope::All));
        assert_eq!(scope(&["key_listing_admin", "member", "reader"]), None);
    }
}

#[test]
fn key_admins_reach_only_key_pairs_of_other_users_in_v3() {
    let totp = Kind::from_stored("totp");
    let roles = ["key_management_admin", "key_listing_admin", "impersonate"];
    for action in CREDENTIAL_ACTIONS.into_iter().take(5).flatten() {
        for (target, pair) in TARGETS.into_iter().zip([A; 7]) {
            let own = if target.0 == "me" { A } else { F };
            let on_totp = decide_for(&caller(&roles), action, target, Some(&totp));
            assert_eq!(on_totp, own, "{action:?} {target:?}");
            let on_pair = decide_for(&caller(&roles), action, target, Some(&Kind::ec2()));
            assert_eq!(on_pair, pair, "{action:?} {target:?}");
        }
    }
}

#[test]
fn os_ec2_accepts_only_callers_with_the_scope_of_a_project_or_the_system() {
    let roles = ["admin", "key_management_admin", "key_listing_admin", "impersonate"];
    let mine = ("me", None);
    for (scope, reads, changes) in
        [(Scope::System, A, A), (Scope::Unscoped, A, F), (Scope::Domain("default".into()), F, F)]
    {
        let caller = Caller::new(UserId::new("me").unwrap(), scope).with_roles(roles);
        for action in [Action::ListEc2, Action::ShowEc2] {
            assert_eq!(decide(&caller, action, mine), reads, "{caller:?} {action:?}");
        }
        for action in [Action::CreateEc2, Action::DeleteEc2] {
            assert_eq!(decide(&caller, action, mine), changes, "{caller:?} {action:?}");
        }
    }
}

#[test]
fn service_sees_key_pairs_only_if_configured() {
    let mut policy = RolePolicy::default();
    let (user, kind) = (UserId::new("peer").unwrap(), Kind::ec2());
    let target = Target { user_id: Some(&user), kind: Some(&kind), ..Target::default() };
    let service = caller(&["service"]);
    for (sees, expected) in [(false, F), (true, A)] {
        policy.service_sees_key_pairs = sees;
        for action in [Action::ShowEc2, Action::ShowCredentialSecret] {
            assert_eq!(policy.decide(&service, action, target), expected, "{action:?}");
        }
        for action in [Action::ShowCredential, Action::ListEc2, Action::DeleteEc2] {
            assert_eq!(policy.decide(&service, action, target), F, "{action:?}");
        }
        assert_eq!(policy.decide(&service, Action::ValidateSignature, Target::default()), A);
    }
}

#[test]
fn creates_require_a_place_except_in_keystones_table() {
    let creates =
        [Action::CreateKey, Action::CreateGrant, Action::CreateCredential, Action::CreateEc2];
    let strict = creates.map(|action| RolePolicy::default().requires_place(action));
    assert_eq!(strict, [true; 4]);
    let keystone = creates.map(|action| RolePolicy::keystone().requires_place(action));
    assert_eq!(keystone, [true, true, false, false]);
}

#[test]
fn role_names_are_configurable() {
    let mut policy = RolePolicy::default();
    policy.names.admin = "cloud_admin".into();
    let target = Target::default();
    assert_eq!(policy.decide(&caller(&["admin"]), Action::CreateGrant, target), F);
    assert_eq!(policy.decide(&caller(&["cloud_admin"]), Action::CreateGrant, target), A);
}

mod keys;
mod keystone;
