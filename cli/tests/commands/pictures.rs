//! What people see in a terminal: the bars of `stats`, and the progress of long commands.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tower_credentials::{
    backend::sqlite::SqliteBackend,
    clock::{Clock, SystemClock},
    domain::{Credential, Status},
    usage::UsageLog,
};

use crate::{
    records::{every_kind, many, pair},
    tool::Tool,
};

const DAY: Duration = Duration::from_hours(24);

/// A key that was created at this time.
fn created(name: &str, time: SystemTime) -> Credential {
    let mut key = pair(name, "alice");
    key.created_at = time;
    key
}

/// Keys that were created this many days ago.
fn aged(name: &str, days: &[u32]) -> Vec<Credential> {
    let now = SystemClock.now();
    let key = |(n, days): (usize, &u32)| created(&format!("AK{name}{n}"), now - DAY * *days);
    days.iter().enumerate().map(key).collect()
}

#[tokio::test]
async fn stats_counts_keys_by_age_last_use_and_expiry() {
    let tool = Tool::new();
    let now = SystemClock.now();
    let mut keys = aged("AGE", &[0, 2, 6, 8, 29, 31, 89, 91, 179, 181, 364, 366, 5_000]);
    let ends = [-400, -1, 0, 2, 8, 31, 91, 364, 366, 5_000];
    for (key, days) in keys.iter_mut().zip(ends) {
        let distance = DAY * i32::unsigned_abs(days);
        // Half a day away from the ends of the buckets.
        let end = if days < 0 { now - distance } else { now + distance + DAY / 2 };
        key.terms.set_expires_at(Some(end));
    }
    keys[12].status = Status::Inactive;
    // Without an access key: not counted.
    let others: Vec<_> =
        every_kind().into_iter().filter(|record| record.access_key.is_none()).collect();
    assert_eq!(others.len(), 3);
    tool.fill("a.db", &[keys.clone(), others].concat()).await;
    let log = SqliteBackend::open(tool.path("a.db")).unwrap();
    let uses = [0, 0, 3, 20, 80, 100, 300, 400, 401];
    let uses = keys.iter().zip(uses).map(|(key, days)| (key.id.clone(), now - DAY * days));
    log.record(&uses.collect::<Vec<_>>()).await.unwrap();

    let report = tool.json(&["stats", "sqlite:a.db"]);
    assert_eq!((&report["records"], &report["access_keys"]), (&16.into(), &13.into()));
    let ages = json!({
        "up_to_1_day": 1, "up_to_7_days": 2, "up_to_30_days": 2, "up_to_90_days": 2,
        "up_to_180_days": 2, "up_to_365_days": 2, "older": 2,
    });
    assert_eq!(report["ages"], ages);
    let last_uses = json!({
        "up_to_1_day": 2, "up_to_7_days": 1, "up_to_30_days": 1, "up_to_90_days": 1,
        "up_to_180_days": 1, "up_to_365_days": 1, "older": 2, "never": 4,
    });
    assert_eq!(report["last_uses"], last_uses);
    let expiries = json!({
        "expired": 2, "within_1_day": 1, "within_7_days": 1, "within_30_days": 1,
        "within_90_days": 1, "within_365_days": 2, "later": 2, "none": 3,
    });
    assert_eq!(report["expiries"], expiries);
}

#[tokio::test]
async fn times_of_other_clocks_are_counted() {
    let tool = Tool::new();
    let now = SystemClock.now();
    // The last second of the year 9999.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let mut keys = vec![created("AKFIRST", UNIX_EPOCH), created("AKLAST", last)];
    keys.push(created("AKSOON", now + DAY));
    keys[0].terms.set_expires_at(Some(UNIX_EPOCH));
    keys[1].terms.set_expires_at(Some(last));
    tool.fill("a.db", &keys).await;
    let log = SqliteBackend::open(tool.path("a.db")).unwrap();
    let uses = [(keys[0].id.clone(), UNIX_EPOCH), (keys[1].id.clone(), last)];
    log.record(&uses).await.unwrap();
    let report = tool.json(&["stats", "sqlite:a.db", "--max-key-life", "90d"]);
    assert_eq!(report["exit"], 0, "{report}");
    assert_eq!((&report["ages"]["up_to_1_day"], &report["ages"]["older"]), (&2.into(), &1.into()));
    let uses = &report["last_uses"];
    assert_eq!(
        (&uses["up_to_1_day"], &uses["older"], &uses["never"]),
        (&1.into(), &1.into(), &1.into())
    );
    let ends = &report["expiries"];
    assert_eq!(
        (&ends["expired"], &ends["later"], &ends["none"]),
        (&1.into(), &1.into(), &1.into())
    );
}

/// The counts and the lengths of the bars of one list that `stats` printed in a terminal.
fn bars(seen: &str, list: &str, block: char) -> HashMap<String, (u64, usize)> {
    let (_, rest) = seen.split_once(&format!("{list}:\r\n")).unwrap_or_else(|| panic!("{seen}"));
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    let bars = lines.map(|line| {
        let (name, rest) = line.trim().split_once(':').unwrap();
        let mut words = rest.split_whitespace();
        let count = words.next().unwrap().parse().unwrap();
        let bar = words.next().unwrap_or_default();
        // The last character may be a part of a block.
        let length = bar.chars().count();
        assert!(bar.chars().take(length.saturating_sub(1)).all(|it| it == block), "{line}");
        assert_eq!(words.next(), None, "{line}");
        (name.to_owned(), (count, length))
    });
    bars.collect()
}

#[tokio::test]
async fn stats_draws_proportional_bars_in_a_terminal() {
    let tool = Tool::new();
    let keys = [aged("NEW", &[0; 400]), aged("WEEK", &[3; 200]), aged("OLD", &[1_000; 1])];
    tool.fill("a.db", &keys.concat()).await;
    for (locale, block) in [("C.UTF-8", '█'), ("C", '#')] {
        for (columns, longest) in [(200, 50), (80, 50), (50, 27), (30, 7), (10, 0)] {
            let stats = "credentials stats sqlite:a.db";
            let Some(seen) = tool.in_terminal(columns, locale, stats) else { return };
            let bars = bars(&seen, "ages", block);
            assert_eq!(bars.len(), 7, "{seen}");
            assert_eq!(bars["up to 1 day"], (400, longest), "{locale} {columns}: {seen}");
            assert_eq!(bars["up to 7 days"], (200, longest.div_ceil(2)), "{columns}: {seen}");
            assert_eq!(bars["older"], (1, longest.min(1)), "{locale} {columns}: {seen}");
            assert_eq!(bars["up to 90 days"], (0, 0), "{locale} {columns}: {seen}");
            assert_eq!(seen.contains('█'), block == '█' && longest > 0, "{seen}");
            // No colors.
            assert!(!seen.contains("\u{1b}[3") && !seen.contains("\u{1b}[0m"), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn stats_prints_the_same_counts_without_bars_to_a_pipe() {
    let tool = Tool::new();
    tool.fill("a.db", &aged("NEW", &[0; 12])).await;
    let run = tool.with(&["stats", "sqlite:a.db"], |command| {
        command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    });
    run.assert_no_secret();
    assert!(run.stdout().contains("\nages:\n  up to 1 day: 12\n  up to 7 days: 0\n"), "{run:?}");
    assert!(
        run.stdout().contains("\n  older: 0\n  never: 12\nexpiries:\n  expired: 0\n"),
        "{run:?}"
    );
    assert!(run.stdout().ends_with("\n  later: 0\n  none: 12\n"), "{run:?}");
    assert!(!run.stdout().contains(['█', '#']) && run.stderr.is_empty(), "{run:?}");
}

#[tokio::test]
async fn long_commands_show_rate_and_remaining_time() {
    let tool = Tool::new();
    tool.fill("a.db", &many(2_500)).await;
    let mut expired = many(1_500);
    for key in &mut expired {
        key.terms.set_expires_at(Some(UNIX_EPOCH + DAY));
    }
    tool.fill("expired.db", &expired).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["copy", "sqlite:a.db", "sqlite:sealed.db", "--to-key-ring", "ring"]);
    tool.run_ok(&["ring", "ring", "two"]);
    for (command, expected) in [
        ("stats sqlite:a.db", &["counting 0 records, 0/s, "][..]),
        ("export sqlite:a.db out --passphrase-file passphrase", &["exporting 0 records, 0/s, "]),
        (
            "import sqlite:b.db out --passphrase-file passphrase",
            &["reading --", "importing --", " 0 B of ", " KiB, 0 B/s, 0s left"],
        ),
        ("import sqlite:c.db - --identity key < out || true", &["importing 0 B, 0 B/s, "]),
        ("copy sqlite:a.db sqlite:copied.db", &["copying 0 records, 0/s, "]),
        ("verify sqlite:a.db", &["looking up 0 records, 0/s, "]),
        (
            "verify sqlite:sealed.db --key-ring ring",
            &["checking seals --", " 0 of 2,500 records, 0/s, 0s left"],
        ),
        (
            "reseal sqlite:sealed.db --key-ring ring",
            &["resealing 0 records, 0/s, ", "checking --", " of 2,500 records, ", "s left"],
        ),
        (
            "purge sqlite:expired.db --expired-for 30d",
            &["counting 0 records, 0/s, ", "deleting --", " of 1,500 records, ", "s left"],
        ),
    ] {
        let Some(seen) = tool.in_terminal(80, "C", &format!("credentials {command}")) else {
            return;
        };
        for text in expected {
            assert!(seen.contains(text), "{command}, {text}: {seen:?}");
        }
        // The bars are removed, and do not wrap.
        let shown = seen.split(['\r', '\n']).find(|line| line.chars().count() > 80 + 4);
        assert_eq!(shown, None, "{command}");
    }
    assert_eq!(tool.records("expired.db").await, []);
}

#[tokio::test]
async fn progress_does_not_hide_the_prompt_for_a_passphrase() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--passphrase-file", "passphrase"]);
    // The keyboard is closed.
    let import = "credentials import sqlite:b.db out || true";
    let Some(seen) = tool.in_terminal(80, "C", import) else { return };
    assert!(seen.contains("Passphrase: ") && seen.contains("error: "), "{seen:?}");
    assert!(!seen.contains("reading") && !seen.contains('\u{1b}'), "{seen:?}");
}
