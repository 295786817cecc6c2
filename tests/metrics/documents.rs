//! The page for operators, the dashboard and the alert rules name the metrics that exist.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use test_support::installed;
use tower_credentials::metrics::{ALL, MetricKind};

const PREFIX: &str = "tower_credentials_";

/// What the servers add to the metrics of the library.
const OF_SERVERS: &[&str] = &["tower_credentials_certificate_expiry_timestamp_seconds"];

fn read(name: &str) -> String {
    let path = format!("{}/docs/operation/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices(PREFIX).map(|(start, _)| &text[start..]);
    let names = starts.map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())]);
    names.filter(|name| *name != PREFIX).collect()
}

/// Whether there is such a series: of a histogram the series have suffixes.
fn exists(name: &str) -> bool {
    let of_library = ALL.iter().any(|metric| match metric.kind {
        MetricKind::Histogram => name
            .strip_prefix(metric.name)
            .is_some_and(|suffix| ["_bucket", "_count", "_sum"].contains(&suffix)),
        _ => metric.name == name,
    });
    of_library || OF_SERVERS.contains(&name)
}

#[test]
fn every_expression_of_the_dashboard_names_series_that_exist() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<_> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    for expression in &expressions {
        let names = named(expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            assert!(exists(name), "{name} in {expression}");
        }
    }
    // And the other way round: each metric is on the dashboard.
    let all = expressions.concat();
    for metric in ALL {
        assert!(all.contains(metric.name), "{} is not on the dashboard", metric.name);
    }
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}

#[test]
fn every_alert_rule_names_series_that_exist() {
    let rules = read("alerts.yml");
    assert_eq!(rules.matches("- alert: ").count(), 6);
    for name in named(&rules) {
        assert!(exists(name), "{name}");
    }
}

#[test]
fn page_for_operators_lists_every_metric_and_no_other() {
    let page = read("metrics.md");
    let known: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    let listed = named(&page);
    for name in &known {
        assert!(listed.contains(name), "{name} is not on the page");
    }
    for name in listed {
        assert!(known.contains(name) || OF_SERVERS.contains(&name), "{name} does not exist");
    }
}

#[test]
fn alert_rules_pass_their_tests() {
    if !installed::has("promtool", Command::new("promtool").arg("--version")) {
        return;
    }
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let folder = format!("{}/docs/operation", env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("promtool").args(arguments).current_dir(folder).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{text}");
    }
}
