//! The alert rules of `docs/operation/alerts.yml` on pages that a server has served.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use tower_credentials::clock::{Clock as _, SystemClock};

use crate::installed;

/// Checks that Prometheus fires an alert if a server serves the page `before` for ten minutes and
/// then the page `during`. Skipped without `promtool`.
pub fn fires(alert: &str, before: &str, during: &str) {
    let counts = |before, during| run(alert, before, during, 1);
    if installed::has("promtool", Command::new("promtool").arg("--version")) {
        counts(before, during).unwrap_or_else(|output| panic!("{alert} does not fire:\n{output}"));
    }
}

/// Checks that an alert does not fire while a server serves this page.
pub fn is_silent(alert: &str, page: &str) {
    if installed::has("promtool", Command::new("promtool").arg("--version")) {
        run(alert, page, page, 0).unwrap_or_else(|output| panic!("{alert} fires:\n{output}"));
    }
}

fn run(alert: &str, before: &str, during: &str, count: u8) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operation/alerts.yml");
    let rules = rules.canonicalize().unwrap();
    let mut text = format!(
        "rule_files: [{}]\nevaluation_interval: 30s\ntests:\n- interval: 30s\n  input_series:\n",
        rules.display()
    );
    for (series, value) in samples(during) {
        let earlier = samples(before).find(|(name, _)| *name == series).map(|(_, value)| value);
        // A series that did not exist has no samples.
        let earlier = earlier.map_or("_x19".to_owned(), |value| format!("{value}+0x19"));
        let series = series.replace('\'', "''");
        let _ = writeln!(text, "  - series: '{series}'\n    values: '{earlier} {value}+0x20'");
    }
    let samples = match count {
        0 => "[]".to_owned(),
        count => format!("[{{labels: '{{}}', value: {count}}}]"),
    };
    let expr = format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
    let _ = writeln!(
        text,
        "  promql_expr_test:\n  - expr: {expr}\n    eval_time: 13m\n    exp_samples: {samples}"
    );
    let tests = folder.path().join("tests.yml");
    fs::write(&tests, text).unwrap();
    let output = Command::new("promtool").args(["test", "rules"]).arg(tests).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if output.status.success() { Ok(()) } else { Err(printed) }
}

/// The series of a page with their values, as seen at the beginning of Prometheus's time.
fn samples(page: &str) -> impl Iterator<Item = (&str, f64)> {
    let now = SystemClock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(move |line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let is_time = series.contains("_timestamp_seconds");
        let value = if is_time { value - now } else { value };
        value.is_finite().then_some((series, value))
    })
}
