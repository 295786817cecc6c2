//! Callers that are keys, cell by cell.

use super::*;
use crate::domain::{Delegation, KeyRoles};

const CHANGES: [Action; 3] = [Action::CreateKey, Action::UpdateKey, Action::DeleteKey];
const READS: [Action; 2] = [Action::ListKeys, Action::ShowKey];

fn key(roles: &[&str], known: KeyRoles) -> Caller {
    caller(roles).with_key(known)
}

fn decide_by(
    policy: &RolePolicy,
    caller: &Caller,
    action: Action,
    (user, project): (&str, Option<&str>),
) -> Decision {
    let root_key = Some(user) == project;
    let user = UserId::new(user).unwrap();
    let project = project.map(|id| ProjectId::new(id).unwrap());
    let (user_id, project_id) = (Some(&user), project.as_ref());
    let kind = Some(&Kind::ec2());
    policy.decide(caller, action, Target { user_id, project_id, kind, root_key, directory: true })
}

#[test]
fn key_reaches_its_users_keys_in_its_project_by_its_users_roles() {
    let strict = RolePolicy::default();
    for (roles, may_change, may_read) in [
        (&[][..], F, F),
        (&["member"], F, F),
        (&["reader"], F, F),
        (&["service"], F, F),
        (&["impersonate"], F, F),
        (&["key_management_user"], A, F),
        (&["key_management_admin"], A, F),
        (&["key_listing_user"], F, A),
        (&["key_listing_admin"], F, A),
        (&["key_management_user", "key_listing_user"], A, A),
        (&["admin"], A, A),
    ] {
        let caller = key(roles, KeyRoles::Known);
        let of = |actions: &[Action], expected| {
            for action in actions {
                let decision = decide_by(&strict, &caller, *action, ("me", Some("mine")));
                assert_eq!(decision, expected, "{roles:?} {action:?}");
                let listed = strict.list_scope(&caller, *action);
                let own = Some(ListScope::User(UserId::new("me").unwrap()));
                assert_eq!(listed, own.filter(|_| expected == A), "{roles:?} {action:?}");
            }
        };
        of(&CHANGES, may_change);
        of(&READS, may_read);
    }
}

#[test]
fn no_role_lets_a_key_reach_another_users_key_or_project() {
    let all = [
        "admin",
        "impersonate",
        "key_management_admin",
        "key_listing_admin",
        "key_management_user",
        "key_listing_user",
        "member",
        "service",
    ];
    for policy in [RolePolicy::default(), RolePolicy::keystone()] {
        for known in [KeyRoles::Known, KeyRoles::Unknown] {
            let caller = key(&all, known);
            for target in &TARGETS[1..] {
                for (action, expected) in [
                    (Action::CreateKey, F),
                    (Action::ListKeys, F),
                    (Action::ShowKey, H),
                    (Action::UpdateKey, H),
                    (Action::DeleteKey, H),
                ] {
                    let decision = decide_by(&policy, &caller, action, *target);
                    assert_eq!(decision, expected, "{known:?} {action:?} {target:?}");
                }
            }
        }
    }
}

#[test]
fn key_may_do_nothing_on_the_other_wires() {
    for policy in [RolePolicy::default(), RolePolicy::keystone()] {
        let caller = key(&["admin", "service", "member", "impersonate"], KeyRoles::Known);
        let others = CREDENTIAL_ACTIONS.into_iter().chain(EC2_ACTIONS).flatten();
        let more = [Action::ShowSecret, Action::ShowSecretAgain, Action::ValidateSignature];
        for action in others.chain(GRANT_ACTIONS).chain(more) {
            let decision = decide_by(&policy, &caller, action, ("me", Some("mine")));
            assert_eq!(decision, F, "{action:?}");
            assert_eq!(policy.list_scope(&caller, action), None, "{action:?}");
        }
    }
}

#[test]
fn key_without_known_roles_manages_its_users_keys() {
    let policy = RolePolicy::default();
    let caller = key(&[], KeyRoles::Unknown);
    for action in CHANGES.into_iter().chain(READS) {
        assert_eq!(decide_by(&policy, &caller, action, ("me", Some("mine"))), A, "{action:?}");
    }
}

#[test]
fn members_keys_manage_keys_under_keystones_table() {
    let policy = RolePolicy::keystone();
    for (roles, may_change) in [(&[][..], F), (&["reader"], F), (&["member"], A)] {
        let caller = key(roles, KeyRoles::Known);
        for action in CHANGES {
            let decision = decide_by(&policy, &caller, action, ("me", Some("mine")));
            assert_eq!(decision, may_change, "{roles:?} {action:?}");
        }
        for action in READS {
            let decision = decide_by(&policy, &caller, action, ("me", Some("mine")));
            assert_eq!(decision, A, "{roles:?} {action:?}");
        }
    }
}

#[test]
fn delegated_key_manages_nothing() {
    let policy = RolePolicy::default();
    let caller = key(&["admin"], KeyRoles::Known);
    let caller = caller.with_delegation(Delegation::Trust { id: "t".into() });
    for action in CHANGES.into_iter().chain(READS) {
        assert_eq!(decide_by(&policy, &caller, action, ("me", Some("mine"))), F, "{action:?}");
    }
}
