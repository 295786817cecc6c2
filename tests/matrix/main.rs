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
//! * A response contains only secrets that the caller may read. An error contains no secret.
//!
//! [`RolePolicy`]: tower_credentials::policy::RolePolicy

mod callers;
mod counting;
mod facts;
mod judging;
mod operations;
mod oracle;
mod planes;
mod records;
mod requests;
mod running;
mod secrets;
mod using;
use test_support::{aws_signer, signer, world};
use tower_credentials::policy::DelegatedCallers;

use callers::{ADMIN, At, MEMBER, SERVICE, Subject};
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
    report.add(using::run(setting, &minted));
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
    check_all("strict, directory", Table::Strict, DirectoryKind::Facts, (165_000, 1_700, 10_000));
}

#[test]
fn strict_table_without_a_directory_follows_the_rules() {
    check_all(
        "strict, no directory",
        Table::Strict,
        DirectoryKind::Absent,
        (165_000, 6_700, 40_000),
    );
}

#[test]
fn keystones_table_with_a_directory_follows_the_rules() {
    check_all(
        "Keystone's, directory",
        Table::Keystone,
        DirectoryKind::Facts,
        (165_000, 2_400, 14_000),
    );
}

#[test]
fn keystones_table_without_a_directory_follows_the_rules() {
    check_all(
        "Keystone's, no directory",
        Table::Keystone,
        DirectoryKind::Absent,
        (165_000, 4_700, 28_000),
    );
}

/// The stored keys include keys that an earlier release wrote.
#[test]
fn stored_keys_are_admitted_by_the_rules() {
    let setting = Setting::new("stored", Table::Keystone, DirectoryKind::Facts);
    let mut minted = Vec::new();
    for seed in records::all().iter().filter(|seed| seed.has_access_key()) {
        let by = format!("no request: stored as {}", seed.name);
        minted.push(running::Minted { record: seed.stored(), made: seed.made(), by });
    }
    let report = using::run(setting, &minted);
    println!("{}: {report}", setting.name);
    report.assert_faultless();
    assert!(report.uses() >= 1_000, "{} uses of keys", report.uses());
}

#[test]
fn open_directory_counts_as_no_directory() {
    // Another caller in the list changes the sample, and may need another step.
    let callers: Vec<_> = callers::all().into_iter().step_by(7).collect();
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, open directory", Table::Strict), ("Keystone's, open directory", Table::Keystone)]
    {
        let setting = Setting::new(name, table, DirectoryKind::Open);
        check(setting, &callers, &operations, (24_000, 700, 5_000));
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
        check(setting, &callers::delegated(), &operations, (34_000, 90, 3_000));
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
        check(setting, &callers, &operations, (21_000, 70, 3_500));
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
