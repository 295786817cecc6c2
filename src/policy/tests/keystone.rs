//! Keystone's table, for v3 credentials and OS-EC2.

use super::{A, F, GRANT_ACTIONS, KEY_ACTIONS};
use crate::{
    domain::{Caller, Delegation, Kind, ProjectId, Scope, UserId},
    policy::{
        Action, Decision, DelegatedCallers, ListScope, Policy, RolePolicy, RoleTable, Target,
    },
};

const CREDENTIALS: [Action; 5] = [
    Action::CreateCredential,
    Action::ListCredentials,
    Action::ShowCredential,
    Action::UpdateCredential,
    Action::DeleteCredential,
];

const EC2: [Action; 4] = [Action::CreateEc2, Action::ListEc2, Action::ShowEc2, Action::DeleteEc2];

/// The decisions on the caller's own record, another user's record, and an unknown record.
type Row = [Decision; 3];

const ALL: Row = [A, A, A];
const NONE: Row = [F, F, F];
const OWN: Row = [A, F, A];

fn scope(name: &str) -> Scope {
    match name {
        "domain" => Scope::Domain("default".into()),
        "system" => Scope::System,
        "unscoped" => Scope::Unscoped,
        project => Scope::Project(ProjectId::new(project).unwrap()),
    }
}

fn caller(scope_name: &str, roles: &[&str]) -> Caller {
    Caller::new(UserId::new("me").unwrap(), scope(scope_name)).with_roles(roles.iter().copied())
}

/// The decision on a record of this owner, project and type.
fn decide(
    policy: &RolePolicy,
    caller: &Caller,
    action: Action,
    (user, project, kind): (&str, Option<&str>, &str),
) -> Decision {
    let (user, kind) = (UserId::new(user).unwrap(), Kind::from_stored(kind));
    let project = project.map(|id| ProjectId::new(id).unwrap());
    let (user_id, project_id, kind) = (Some(&user), project.as_ref(), Some(&kind));
    let target = Target { user_id, project_id, kind, root_key: false, directory: true };
    policy.decide(caller, action, target)
}

/// Checks the rows for credentials, for OS-EC2 and for signatures. The project and the type of
/// a record make no difference.
#[track_caller]
fn assert_table(
    policy: &RolePolicy,
    caller: &Caller,
    credentials: [Row; 5],
    ec2: [Row; 4],
    validate: Decision,
) {
    let rows = CREDENTIALS.into_iter().zip(credentials).chain(EC2.into_iter().zip(ec2));
    for (action, [own, other, unknown]) in rows.chain([(Action::ValidateSignature, [validate; 3])])
    {
        for project in [Some("mine"), Some("other"), None] {
            for kind in ["ec2", "totp"] {
                let of = |user| decide(policy, caller, action, (user, project, kind));
                assert_eq!(of("me"), own, "{caller:?} {action:?} {project:?} {kind}");
                assert_eq!(of("peer"), other, "{caller:?} {action:?} {project:?} {kind}");
            }
        }
        let decision = policy.decide(caller, action, Target::default());
        assert_eq!(decision, unknown, "{caller:?} {action:?}");
    }
}

// Rows of credentials: create, list, show, update, delete. Rows of OS-EC2: create, list, show,
// delete.

#[test]
fn admins_may_do_everything_but_os_ec2_needs_a_project_or_the_system() {
    let policy = RolePolicy::keystone();
    for (scope, ec2) in [("mine", ALL), ("system", ALL), ("domain", NONE)] {
        assert_table(&policy, &caller(scope, &["admin"]), [ALL; 5], [ec2; 4], A);
    }
    // Keystone gives no roles without a scope, but another validator might.
    let unscoped = caller("unscoped", &["admin"]);
    assert_table(&policy, &unscoped, [ALL; 5], [NONE, OWN, OWN, NONE], A);
}

#[test]
fn owners_do_everything_with_credentials_and_see_their_key_pairs() {
    let policy = RolePolicy::keystone();
    let ibm = [
        "impersonate",
        "key_listing_admin",
        "key_listing_user",
        "key_management_admin",
        "key_management_user",
    ];
    for roles in [&[][..], &["reader"], &["swift"], &ibm] {
        assert_table(&policy, &caller("mine", roles), [OWN; 5], [NONE, OWN, OWN, NONE], F);
        assert_table(&policy, &caller("domain", roles), [OWN; 5], [NONE; 4], F);
        assert_table(&policy, &caller("unscoped", roles), [OWN; 5], [NONE, OWN, OWN, NONE], F);
    }
    assert_table(&policy, &caller("system", &[]), [OWN; 5], [NONE, OWN, OWN, NONE], F);
}

#[test]
fn members_create_and_delete_their_key_pairs() {
    let policy = RolePolicy::keystone();
    for (scope, ec2) in [("mine", OWN), ("system", OWN), ("domain", NONE)] {
        assert_table(&policy, &caller(scope, &["member"]), [OWN; 5], [ec2; 4], F);
    }
    let unscoped = caller("unscoped", &["member"]);
    assert_table(&policy, &unscoped, [OWN; 5], [NONE, OWN, OWN, NONE], F);
}

#[test]
fn system_readers_see_everything_and_change_no_record_of_others() {
    let policy = RolePolicy::keystone();
    let credentials = [OWN, ALL, ALL, OWN, OWN];
    assert_table(&policy, &caller("system", &["reader"]), credentials, [NONE, ALL, ALL, NONE], F);
    assert_table(
        &policy,
        &caller("system", &["reader", "member"]),
        credentials,
        [OWN, ALL, ALL, OWN],
        F,
    );
}

#[test]
fn owners_create_only_for_their_tokens_project_without_a_directory() {
    let policy = RolePolicy::keystone();
    let (user, kind) = (UserId::new("me").unwrap(), Kind::ec2());
    let member = caller("mine", &["member"]);
    for (project, with_directory, without) in
        [(Some("mine"), A, A), (None, A, A), (Some("other"), A, F), (Some("MINE"), A, F)]
    {
        let project = project.map(|id| ProjectId::new(id).unwrap());
        for (directory, expected) in [(true, with_directory), (false, without)] {
            let (user_id, project_id, kind) = (Some(&user), project.as_ref(), Some(&kind));
            let target = Target { user_id, project_id, kind, root_key: false, directory };
            for action in [Action::CreateCredential, Action::CreateEc2] {
                let decision = policy.decide(&member, action, target);
                assert_eq!(decision, expected, "{action:?} {project:?} {directory}");
                let admin = caller("mine", &["admin"]);
                assert_eq!(policy.decide(&admin, action, target), A, "{action:?} {project:?}");
            }
            assert_eq!(policy.decide(&member, Action::DeleteCredential, target), A);
        }
    }
}

#[test]
fn only_admins_reach_root_keys_and_a_user_with_the_projects_id_does_not() {
    let policy = RolePolicy::keystone();
    let (user, project) = (UserId::new("me").unwrap(), ProjectId::new("me").unwrap());
    let kind = Kind::ec2();
    let target = Target {
        user_id: Some(&user),
        project_id: Some(&project),
        kind: Some(&kind),
        root_key: true,
        directory: true,
    };
    for action in CREDENTIALS.into_iter().chain(EC2).chain([Action::ShowCredentialSecret]) {
        let member = caller("me", &["member", "key_management_user", "key_listing_user"]);
        assert_eq!(policy.decide(&member, action, target), F, "{action:?}");
        assert_eq!(policy.decide(&caller("me", &["admin"]), action, target), A, "{action:?}");
    }
}

#[test]
fn caller_who_sees_a_credential_sees_its_secret() {
    let policy = RolePolicy::keystone();
    for (caller, user) in [
        (caller("mine", &[]), "me"),
        (caller("system", &["reader"]), "peer"),
        (caller("domain", &["admin"]), "peer"),
        (caller("mine", &["reader", "impersonate"]), "peer"),
    ] {
        let record = (user, Some("mine"), "ec2");
        let sees = decide(&policy, &caller, Action::ShowCredential, record);
        let secret = decide(&policy, &caller, Action::ShowCredentialSecret, record);
        assert_eq!(secret, sees, "{caller:?}");
    }
}

#[test]
fn services_validate_signatures_and_see_key_pairs_only_if_configured() {
    let mut policy = RolePolicy::keystone();
    for (scope, ec2) in [("mine", OWN), ("system", OWN), ("domain", NONE)] {
        let service = caller(scope, &["service"]);
        policy.service_sees_key_pairs = false;
        assert_table(&policy, &service, [OWN; 5], [NONE, ec2, ec2, NONE], A);
        policy.service_sees_key_pairs = true;
        let show = if ec2 == OWN { ALL } else { NONE };
        assert_table(&policy, &service, [OWN; 5], [NONE, ec2, show, NONE], A);
    }
    assert_table(&policy, &caller("mine", &[]), [OWN; 5], [NONE, OWN, OWN, NONE], F);
}

#[test]
fn names_of_v3s_roles_are_configurable() {
    let mut policy = RolePolicy::keystone();
    let names = &mut policy.names;
    for (name, new) in [
        (&mut names.admin, "a"),
        (&mut names.member, "m"),
        (&mut names.reader, "r"),
        (&mut names.service, "s"),
    ] {
        *name = new.into();
    }
    let old = caller("system", &["admin", "member", "reader", "service"]);
    assert_table(&policy, &old, [OWN; 5], [NONE, OWN, OWN, NONE], F);
    assert_table(&policy, &caller("system", &["a"]), [ALL; 5], [ALL; 4], A);
    let rest = caller("system", &["m", "r", "s"]);
    assert_table(&policy, &rest, [OWN, ALL, ALL, OWN, OWN], [OWN, ALL, ALL, OWN], A);
}

#[test]
fn lists_of_v3_are_narrowed_to_the_records_that_the_caller_may_see() {
    let me = || Some(ListScope::User(UserId::new("me").unwrap()));
    let all = || Some(ListScope::All);
    let policy = RolePolicy::keystone();
    for (scope, roles, sees, changes) in [
        ("mine", &["admin"][..], all(), all()),
        ("domain", &["admin"], all(), all()),
        ("system", &["reader"], all(), me()),
        ("mine", &["reader"], me(), me()),
        ("domain", &["reader"], me(), me()),
        ("mine", &["key_listing_admin", "impersonate", "service", "member"], me(), me()),
        ("unscoped", &[], me(), me()),
    ] {
        let caller = caller(scope, roles);
        for action in [Action::ListCredentials, Action::ShowCredential, Action::ListEc2] {
            assert_eq!(policy.list_scope(&caller, action), sees, "{caller:?} {action:?}");
        }
        for action in [Action::UpdateCredential, Action::DeleteCredential] {
            assert_eq!(policy.list_scope(&caller, action), changes, "{caller:?} {action:?}");
        }
    }
}

fn delegations() -> [Delegation; 5] {
    [
        Delegation::AccessToken { id: "x".into() },
        Delegation::ApplicationCredential { id: "x".into(), restricted: false },
        Delegation::ApplicationCredential { id: "x".into(), restricted: true },
        Delegation::Other,
        Delegation::Trust { id: "x".into() },
    ]
}

fn policy_with(delegated: DelegatedCallers) -> RolePolicy {
    RolePolicy { delegated, ..RolePolicy::keystone() }
}

const SETTINGS: [DelegatedCallers; 3] =
    [DelegatedCallers::Refused, DelegatedCallers::AdminKeyPairs, DelegatedCallers::WithinProject];

/// Records, starting with those in the project.
const RECORDS: [(&str, Option<&str>, &str); 6] = [
    ("me", Some("mine"), "ec2"),
    ("me", Some("mine"), "totp"),
    ("peer", Some("mine"), "ec2"),
    ("me", Some("other"), "ec2"),
    ("me", None, "ec2"),
    ("me", None, "totp"),
];

#[test]
fn delegated_callers_reach_no_record_and_no_other_dialect() {
    let roles = ["admin", "member", "service", "key_management_admin", "key_listing_admin"];
    for delegation in delegations() {
        let caller = caller("mine", &roles).with_delegation(delegation);
        for action in CREDENTIALS.into_iter().chain(EC2) {
            for record in RECORDS {
                let decision =
                    decide(&policy_with(DelegatedCallers::Refused), &caller, action, record);
                assert_eq!(decision, F, "{caller:?} {action:?} {record:?}");
            }
        }
        for action in CREDENTIALS {
            let scope = policy_with(DelegatedCallers::Refused).list_scope(&caller, action);
            let listed = action != Action::CreateCredential;
            assert_eq!(scope, listed.then_some(ListScope::Nothing), "{action:?}");
        }
        for policy in SETTINGS.map(policy_with) {
            for action in KEY_ACTIONS.into_iter().chain(GRANT_ACTIONS) {
                assert_eq!(policy.decide(&caller, action, Target::default()), F, "{action:?}");
                assert_eq!(policy.list_scope(&caller, action), None, "{action:?}");
            }
            let validated = policy.decide(&caller, Action::ValidateSignature, Target::default());
            assert_eq!(validated, A);
        }
    }
}

#[test]
fn delegated_admins_reach_key_pairs_as_credentials_if_configured() {
    let policy = policy_with(DelegatedCallers::AdminKeyPairs);
    for delegation in delegations() {
        let restricted =
            matches!(delegation, Delegation::ApplicationCredential { restricted: true, .. });
        let admin = caller("mine", &["admin"]).with_delegation(delegation.clone());
        let member = caller("mine", &["member", "reader"]).with_delegation(delegation);
        for record in RECORDS {
            for action in CREDENTIALS {
                let barred = action == Action::UpdateCredential
                    || action == Action::CreateCredential && restricted;
                let reached = record.2 == "ec2" && !barred;
                let expected = if reached { A } else { F };
                assert_eq!(decide(&policy, &admin, action, record), expected, "{record:?}");
                assert_eq!(decide(&policy, &member, action, record), F, "{record:?}");
            }
            for action in EC2 {
                assert_eq!(decide(&policy, &admin, action, record), F, "{action:?}");
                assert_eq!(decide(&policy, &member, action, record), F, "{action:?}");
            }
        }
    }
}

#[test]
fn delegated_callers_other_than_admins_see_no_record_if_only_admins_may() {
    for table in [RoleTable::Keystone, RoleTable::Strict] {
        let policy = RolePolicy { table, ..policy_with(DelegatedCallers::AdminKeyPairs) };
        let roles = ["key_management_admin", "key_listing_admin", "impersonate"];
        for delegation in delegations() {
            let caller = caller("mine", &roles).with_delegation(delegation);
            for action in [Action::ListCredentials, Action::ShowCredential] {
                let scope = policy.list_scope(&caller, action);
                assert_eq!(scope, Some(ListScope::Nothing), "{action:?}");
            }
        }
    }
}

#[test]
fn delegated_caller_within_its_project_lacks_only_new_secrets() {
    let policy = policy_with(DelegatedCallers::WithinProject);
    for delegation in delegations() {
        let restricted =
            matches!(delegation, Delegation::ApplicationCredential { restricted: true, .. });
        let member = caller("mine", &["member"]).with_delegation(delegation.clone());
        let admin = caller("mine", &["admin"]).with_delegation(delegation.clone());
        for action in CREDENTIALS.into_iter().chain(EC2) {
            let creates = matches!(action, Action::CreateCredential | Action::CreateEc2);
            let barred = action == Action::UpdateCredential || creates && restricted;
            for record in RECORDS {
                let (user, project, kind) = record;
                let within = project == Some("mine") && !(barred && kind == "ec2");
                let expected = if within { A } else { F };
                assert_eq!(decide(&policy, &admin, action, record), expected, "{record:?}");
                let expected = if within && user == "me" { A } else { F };
                assert_eq!(decide(&policy, &member, action, record), expected, "{record:?}");
                for scope in ["domain", "system", "unscoped", "third"] {
                    let outside = caller(scope, &["admin"]).with_delegation(delegation.clone());
                    assert_eq!(decide(&policy, &outside, action, record), F, "{scope} {record:?}");
                }
            }
        }
    }
}

#[test]
fn caller_with_a_token_of_a_key_may_do_nothing_under_any_setting() {
    let roles = ["admin", "member", "reader", "service"];
    for mut policy in SETTINGS.map(policy_with) {
        policy.service_sees_key_pairs = true;
        for scope in ["mine", "system", "domain", "unscoped"] {
            let caller = caller(scope, &roles).with_delegation(Delegation::Ec2Credential);
            assert_table(&policy, &caller, [NONE; 5], [NONE; 4], F);
        }
    }
}
