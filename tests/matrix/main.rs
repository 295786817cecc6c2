//! The composition matrix: every kind of caller sends every operation of every dialect
//! about every kind of record, and every key that comes of it is used on every data plane.
//!
//! The cells are generated. What each should come to is computed from the rules that the
//! documentation of [`RolePolicy`] states, by an oracle of its own that shares no code with
//! the crate.
//!
//! # Invariants
//!
//! * A key is never stronger than its owner: a data plane with a directory admits a key
//!   only while the owner's own token for the key's project could be had. Whether the key
//!   was made in IBM's dialect, v2, v3 or OS-EC2 is no matter.
//! * In the strict table with a directory, that holds from the start, on data planes
//!   without a directory too.
//! * Without a directory, a caller makes keys for itself in its token's project;
//!   `key_management_admin` for any user there; with `impersonate` in any project;
//!   `admin` everywhere.
//! * A root key is made in IBM's dialect alone, by admins and the project's key admins,
//!   and a user who has the project's id never reaches it.
//! * A request that is refused, and one that reads, leaves the store as it was. Any other
//!   changes its one record and moves none to another owner or project.
//! * No answer holds a secret that the caller may not read. No error holds any.
//!
//! [`RolePolicy`]: tower_credentials::policy::RolePolicy

#![allow(
    clippy::format_collect,
    clippy::format_push_string,
    clippy::manual_let_else,
    clippy::match_same_arms,
    clippy::similar_names,
    clippy::unused_self,
    reason = "the oracle writes each rule down as its dialect states it"
)]

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
use facts::{ALICE, HOME, Knows, Setting, Table};
use operations::Operation;

/// Checks a part of the matrix, and that it has not shrunk below these numbers of requests,
/// keys and uses of keys.
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
    println!("{}: {count} keys came of {report}", setting.name);
    report.assert_faultless();
    assert!(report.cells() >= cells, "only {} requests of {cells}", report.cells());
    assert!(count >= keys, "only {count} keys of {keys}");
    assert!(report.uses() >= uses, "only {} uses of {uses}", report.uses());
    assert_eq!(report.open(), 0, "the rules leave a cell open");
}

fn whole(name: &'static str, table: Table, knows: Knows, bounds: (usize, usize, usize)) {
    let operations = operations::all(&records::all());
    check(Setting::new(name, table, knows), &callers::all(), &operations, bounds);
}

#[test]
fn strict_table_with_a_directory_follows_the_rules() {
    whole("strict, directory", Table::Strict, Knows::Facts, (165_000, 1_700, 10_000));
}

#[test]
fn strict_table_without_a_directory_follows_the_rules() {
    whole("strict, no directory", Table::Strict, Knows::Nothing, (165_000, 6_700, 40_000));
}

#[test]
fn keystones_table_with_a_directory_follows_the_rules() {
    whole("Keystone's, directory", Table::Keystone, Knows::Facts, (165_000, 2_400, 14_000));
}

#[test]
fn keystones_table_without_a_directory_follows_the_rules() {
    whole("Keystone's, no directory", Table::Keystone, Knows::Nothing, (165_000, 4_700, 28_000));
}

/// Keys as earlier releases wrote them among them.
#[test]
fn keys_in_the_store_are_used_by_the_rules() {
    let setting = Setting::new("stored", Table::Keystone, Knows::Facts);
    let mut minted = Vec::new();
    for seed in records::all().iter().filter(|seed| seed.has_access_key()) {
        let by = format!("no request: it is {}", seed.name);
        minted.push(running::Minted { record: seed.stored(), made: seed.made(), by });
    }
    let report = using::run(setting, &minted);
    println!("{}: {report}", setting.name);
    report.assert_faultless();
    assert!(report.uses() >= 1_000, "only {} uses", report.uses());
}

#[test]
fn open_directory_counts_as_none() {
    let callers: Vec<_> = callers::all().into_iter().step_by(7).collect();
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, open directory", Table::Strict), ("Keystone's, open directory", Table::Keystone)]
    {
        let setting = Setting::new(name, table, Knows::Open);
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
        let setting = Setting { delegated, ..Setting::new(name, table, Knows::Facts) };
        check(setting, &callers::delegated(), &operations, (34_000, 90, 3_000));
    }
}

#[test]
fn gateways_read_key_pairs_where_that_is_set() {
    let mut callers = callers::all();
    // The gateways, and each other role alone: the setting gives those nothing.
    callers.retain(|caller| {
        let alone = caller.user == ALICE && caller.at == At::Project(HOME);
        caller.has(SERVICE) || alone && caller.roles.len() < 2
    });
    let operations = operations::all(&records::all());
    for (name, table) in
        [("strict, gateways", Table::Strict), ("Keystone's, gateways", Table::Keystone)]
    {
        let setting = Setting { service_reads: true, ..Setting::new(name, table, Knows::Facts) };
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
    let setting = Setting::new("passwords", Table::Strict, Knows::Facts);
    check(setting, &callers, &operations::passwords(), (40, 0, 0));
}
