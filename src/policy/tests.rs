//! The table, cell by cell.

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

const GRANT_ACTIONS: [Action; 5] = [
    Action::CreateGrant,
    Action::DeleteGrant,
    Action::ListGrants,
    Action::ShowGrant,
    Action::UpdateGrant,
];

/// Owner and project of each column, for the caller `me` scoped to `mine`.
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

fn decide(caller: &Caller, action: Action, (user, project): (&str, Option<&str>)) -> Decision {
    let user = UserId::new(user).unwrap();
    let project = project.map(|id| ProjectId::new(id).unwrap());
    let target = Target { user_id: Some(&user), project_id: project.as_ref(), kind: None };
    RolePolicy::default().decide(caller, action, target)
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
}

// Columns: own key here, own without project, a peer's here, root key here, own
// elsewhere, a stranger's elsewhere, root key elsewhere.

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
fn what_may_be_seen_but_not_managed_is_forbidden_rather_than_hidden() {
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
fn a_caller_without_a_project_reaches_only_own_keys_without_one() {
    let caller = Caller::new(UserId::new("me").unwrap(), Scope::Unscoped)
        .with_roles(["key_management_admin", "key_listing_admin"]);
    for (target, expected) in TARGETS.into_iter().zip([H, A, H, H, H, H, H]) {
        assert_eq!(decide(&caller, Action::ShowKey, target), expected, "{target:?}");
    }
}

#[test]
fn a_user_whose_id_is_the_projects_is_not_the_owner_of_its_root_keys() {
    let mut caller = caller(&["key_management_user", "key_listing_user"]);
    caller.user_id = UserId::new("mine").unwrap();
    assert_eq!(decide(&caller, Action::CreateKey, ("mine", Some("mine"))), F);
    assert_eq!(decide(&caller, Action::ShowKey, ("mine", Some("mine"))), H);
    assert_eq!(decide(&caller, Action::ShowSecret, ("mine", Some("mine"))), F);
}

#[test]
fn lists_are_narrowed_to_what_the_roles_reach() {
    let scope = |roles: &[&str]| RolePolicy::default().list_scope(&caller(roles), Action::ListKeys);
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
}

#[test]
fn role_names_are_configurable() {
    let mut policy = RolePolicy::default();
    policy.names.admin = "cloud_admin".into();
    let target = Target::default();
    assert_eq!(policy.decide(&caller(&["admin"]), Action::CreateGrant, target), F);
    assert_eq!(policy.decide(&caller(&["cloud_admin"]), Action::CreateGrant, target), A);
}

mod keystone_v3;
