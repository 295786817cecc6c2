//! The unit for systemd, as far as it can be checked without systemd as process 1.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use test_support::{keys::mint, process::Server, tools::has};

use crate::ACCESSER;

/// The unit in the documentation.
fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operation/accesser.service");
    fs::read_to_string(path).unwrap()
}

/// The value of a setting that the unit has once.
fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {name}"))
}

#[test]
fn unit_is_valid_and_hardened() {
    if !has("systemd-analyze", Command::new("systemd-analyze").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accesser.service");
    // The program must exist.
    fs::write(&file, unit().replace("/usr/local/bin/accesser", ACCESSER.path)).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output();
    let verified = verified.unwrap();
    let messages = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && messages.is_empty(), "{messages}");
    // 15 is an exposure of 1.5.
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=15", "--no-pager"]).arg(&file);
    let security = security.output().unwrap();
    assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
}

#[test]
fn command_of_the_unit_has_only_options_that_exist() {
    let unit = unit().replace("\\\n", " ");
    let command = value(&unit, "ExecStart");
    let output = Command::new(ACCESSER.path).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let options: Vec<_> = command.split(' ').filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 5, "{command}");
    for option in options {
        let is_there = help.lines().any(|line| line.split([' ', ',']).any(|word| word == option));
        let has_feature = match () {
            () if option.starts_with("--tls") => cfg!(feature = "tls"),
            () if option.starts_with("--metrics") => cfg!(feature = "metrics"),
            () => true,
        };
        assert!(is_there || !has_feature, "{option}");
    }
}

/// The system calls in the groups of a filter.
fn calls(groups: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for group in groups {
        let output = Command::new("systemd-analyze").args(["syscall-filter", group]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{group}");
        for line in String::from_utf8(output.stdout).unwrap().lines().skip(1) {
            match line.trim() {
                comment if comment.starts_with('#') || comment.is_empty() => {}
                nested if nested.starts_with('@') => found.extend(calls(&[nested])),
                call => _ = found.insert(call.to_owned()),
            }
        }
    }
    found
}

#[tokio::test]
async fn filter_of_the_unit_allows_the_system_calls_of_the_program() {
    if !has("systemd-analyze", Command::new("systemd-analyze").arg("--version"))
        || !has("strace", Command::new("strace").arg("--version"))
    {
        return;
    }
    let unit = unit();
    let mut filters = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let allowed: Vec<_> = filters.next().unwrap().split(' ').collect();
    let denied: Vec<_> = filters.next().unwrap().strip_prefix('~').unwrap().split(' ').collect();
    let (allowed, denied) = (calls(&allowed), calls(&denied));
    assert!(allowed.contains("read") && denied.contains("chroot"));

    let server = Server::new(ACCESSER);
    let trace = server.home().join("trace");
    let strace = ["strace", "-D", "-f", "-qq", "-o", trace.to_str().unwrap()];
    let mut running = server.under(&strace).start().await;
    mint(&running.client(), "dev-alice").await;
    running.client().get("/readyz", "").await.expect(200);
    running.stop().await;
    let text = fs::read_to_string(trace).unwrap();
    let made: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
        .map(|(name, _)| name)
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        })
        .collect();
    assert!(made.contains("accept4") && made.contains("openat"), "{made:?}");
    let refused = made.iter().filter(|name| !allowed.contains(**name) || denied.contains(**name));
    // SQLite calls it as root only.
    let refused: Vec<_> = refused.filter(|name| **name != "fchown").collect();
    assert!(refused.is_empty(), "{refused:?}");
}
