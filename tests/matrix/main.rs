//! The composition matrix: every kind of caller sends every operation of every dialect
//! about every kind of record. Every key that is created is used on every data plane.
//!
//! The cells are generated. An oracle, which shares no code with the crate, computes the
//! expected result of each cell from the rules in the documentation of [`RolePolicy`].
//!
//! # Invariants
//!
//! * A key is never stronger than its owner: a data plane with a directory admits a key
//!   only while the owner could get a token for the key's project. The dialect that created
//!   the key makes no difference.
//! * If the strict table and a directory applied at the create, the same is true of a new
//!   key on data planes without a directory.
//! * Without a directory, callers create keys for themselves in their token's project.
//!   `key_management_admin` creates keys for any user there, `impersonate` extends both to
//!   any project, and `admin` creates keys everywhere.
//! * Only IBM's dialect creates root keys, for admins and the project's key admins. A user
//!   who has the project's id never reaches them.
//! * A rejected request and a read leave the store unchanged. Any other request changes
//!   only its own record, and never the record's owner or project.
//! * A rotated key is never stronger than the old one: same owner, project, delegation and
//!   boundary, and no later expiry than the rules allow.
//! * A key with a boundary passes nothing outside it. No data plane admits an expired key, or
//!   a pair that a rotation replaced in place. No token outlives its key.
//! * A session of a key is admitted where the key is, and nowhere else, within its own policy. No
//!   data plane that returns signers admits one.
//! * Only a user's own unlimited key in a project creates keys over IAM, by the roles of the user.
//!   The new key has the same owner and project, ends no later, and is admitted nowhere where the
//!   first one is not.
//! * A response contains only secrets that the caller may read. An error contains no secret.
//!
//! [`RolePolicy`]: tower_credentials::policy::RolePolicy

mod callers;
mod counting;
mod facts;
mod judging;
mod limits;
mod operations;
mod oracle;
mod planes;
mod records;
mod requests;
mod running;
mod secrets;
mod sessions;
mod stored;
mod using;
use test_support::{aws_signer, clock, signer, world};
use tower_credentials::policy::DelegatedCallers;

use callers::{
    ADMIN, At, IMPERSONATE, LISTS_ALL, MANAGES_ALL, MANAGES_OWN, MEMBER, SERVICE, Subject,
};
use facts::{ALICE, DirectoryKind, HOME, Setting, Table};
use operations::Operation;

/// Checks a part of the matrix, and that it has at least these numbers of requests, keys and
/// uses of keys.
#[track_caller]
fn check(
    setting: Setting,
    callers: &[Subject],
    operations: &[Operation],
    (cells, keys, uses): (usize, usize, usize),
) {
    let mut report = running::run(setting, callers, operations);
    let minted = std::mem::take(&mut report.minted);
    let count = minted.len();
    if !setting.shows_once {
        report.add(using::run(setting, &minted));
    }
    println!("{}: {count} keys created by {report}", setting.name);
    report.assert_faultless();
    assert!(report.cells() >= cells, "{} requests, expected {cells}", report.cells());
    assert!(count >= keys, "{count} keys, expected {keys}");
    assert!(report.uses() >= uses, "{} uses of keys, expected {uses}", report.uses());
    assert_eq!(report.undecided(), 0, "the rules do not decide every cell");
}

fn check_all(
    name: &'static str,
    table: Table,
    directory: DirectoryKind,
    bounds: (usize, usize, usize),
) {
    let operations = operations::all(&records::all());
    check(Setting::new(name, table, directory), &callers::all(), &operations, bounds);
}

#[test]
fn strict_table_with_a_directory_follows_the_rules() {
    check_all("strict, directory", Table::Strict, DirectoryKind::Facts, (230_000, 1_800, 18_000));
}

#[test]
fn strict_table_without_a_directory_follows_the_rules() {
    check_all(
        "strict, no directory",
        Table::Strict,
        DirectoryKind::Absent,
        (230_000, 6_900, 60_000),
    );
}

#[test]
fn keystones_table_with_a_directory_follows_the_rules() {
    check_all(
        "Keystone's, directory",
        Table::Keystone,
        DirectoryKind::Facts,
        (230_000, 2_500, 24_000),
    );
}

#[test]
fn keystones_table_without_a_directory_follows_the_rules() {
    check_all(
        "Keystone's, no directory",
        Table::Keystone,
        DirectoryKind::Absent,
        (230_000, 4_900, 48_000),
    );
}

/// The stored keys include keys that an earlier release wrote.
#[test]
fn stored_keys_are_admitted_by_the_rules() {
    let setting = Setting::new("stored", Table::Keystone, DirectoryKind::Facts);
    let mut minted = Vec::new();
    for seed in records::all().iter().filter(|seed| seed.has_access_key()) {
        let by = format!("no request: stored as {}", seed.name);
        let (record, made) = (seed.stored(), seed.made());
        minted.push(running::Minted {
            record,
            made,
            by,
            replaced: None,
            was_stored: true,
            sample: None,
        });
    }
    let report = using::run(setting, &minted);
    println!("{}: {report}", setting.name);
    report.assert_faultless();
    assert!(report.uses() >= 1_500, "{} uses of keys", report.uses());
}

#[test]
fn open_directory_counts_as_no_directory() {
    // Another caller in the list changes the sample, and may need another step.
    let callers: Vec<_> = callers::all().into_iter().step_by(9).collect();
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, open directory", Table::Strict), ("Keystone's, open directory", Table::Keystone)]
    {
        let setting = Setting::new(name, table, DirectoryKind::Open);
        check(setting, &callers, &operations, (26_000, 600, 10_000));
    }
}

#[test]
fn delegated_callers_reach_the_records_that_their_setting_admits() {
    let operations = operations::all(&records::all());
    for (name, table, delegated) in [
        ("strict, admins by delegation", Table::Strict, DelegatedCallers::AdminKeyPairs),
        ("strict, delegated", Table::Strict, DelegatedCallers::WithinProject),
        ("Keystone's, admins by delegation", Table::Keystone, DelegatedCallers::AdminKeyPairs),
        ("Keystone's, delegated", Table::Keystone, DelegatedCallers::WithinProject),
    ] {
        let setting = Setting { delegated, ..Setting::new(name, table, DirectoryKind::Facts) };
        check(setting, &callers::delegated(), &operations, (47_000, 90, 3_000));
    }
}

#[test]
fn gateways_read_key_pairs_if_configured() {
    let mut callers = callers::all();
    // Gateways, and callers with at most one role: the setting gives the latter nothing.
    callers.retain(|caller| {
        let alone = caller.user == ALICE && caller.at == At::Project(HOME);
        caller.has(SERVICE) || alone && caller.roles.len() < 2
    });
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, gateways", Table::Strict), ("Keystone's, gateways", Table::Keystone)]
    {
        let setting =
            Setting { service_reads: true, ..Setting::new(name, table, DirectoryKind::Facts) };
        check(setting, &callers, &operations, (28_000, 200, 6_000));
    }
}

#[test]
fn secrets_that_are_shown_once_appear_in_creates_and_rotations_only() {
    let mut callers = callers::all();
    // Callers who see most secrets otherwise, and gateways.
    callers.retain(|caller| {
        let reads = caller.user == ALICE && caller.at == At::Project(HOME);
        let many = [[MEMBER, IMPERSONATE], [MANAGES_ALL, IMPERSONATE], [LISTS_ALL, IMPERSONATE]];
        let many = caller.roles == [ADMIN] || many.iter().any(|roles| caller.roles == roles);
        reads && (caller.has(SERVICE) || many)
    });
    let operations = operations::all(&records::all());
    for (name, table, service_reads) in [
        ("strict, shown once", Table::Strict, false),
        ("Keystone's, shown once", Table::Keystone, false),
        ("strict, shown once, gateways", Table::Strict, true),
        ("Keystone's, shown once, gateways", Table::Keystone, true),
    ] {
        let mut setting = Setting::new(name, table, DirectoryKind::Facts);
        (setting.shows_once, setting.service_reads) = (true, service_reads);
        check(setting, &callers, &operations, (15_000, 150, 0));
    }
}

#[test]
fn no_key_outlives_the_maximum_life() {
    let mut callers = callers::all();
    callers.retain(|caller| {
        let manages = caller.has_any(&[ADMIN, MANAGES_OWN, MANAGES_ALL]);
        manages && caller.user == ALICE && matches!(caller.at, At::Project(_) | At::System)
    });
    let callers: Vec<_> = callers.into_iter().step_by(6).collect();
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, limited life", Table::Strict), ("Keystone's, limited life", Table::Keystone)]
    {
        let setting =
            Setting { max_life: Some(450), ..Setting::new(name, table, DirectoryKind::Facts) };
        check(setting, &callers, &operations, (14_000, 350, 8_000));
    }
}

#[test]
fn passwords_are_granted_by_admins_and_never_returned() {
    let mut callers = callers::all();
    callers.retain(|caller| {
        let here = caller.user == ALICE && caller.at == At::Project(HOME);
        here && (caller.roles == [ADMIN] || caller.has(MEMBER))
    });
    let setting = Setting::new("passwords", Table::Strict, DirectoryKind::Facts);
    check(setting, &callers, &operations::passwords(), (40, 0, 0));
}
