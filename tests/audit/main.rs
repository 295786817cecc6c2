//! Audit events through the layer, and the file that keeps them.

mod chain;
mod crashes;
mod events;
mod faults;
mod files;
mod suite;

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use tower_credentials::audit::file::{AuditFile, AuditFileBuilder, AuditKey};

/// Long enough for every test. Not a measurement.
const LONG: Duration = Duration::from_secs(30);

fn key() -> AuditKey {
    AuditKey::new(&[7; 32]).unwrap()
}

fn builder(path: &Path) -> AuditFileBuilder {
    AuditFile::builder(path, key())
}

/// The lines of a file that was closed.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Closes the file, and returns its lines without those that start it.
fn events(audit: &AuditFile, path: &Path) -> Vec<Value> {
    assert!(audit.close(LONG));
    lines(path).into_iter().filter(|line| line["type"] != "start").collect()
}

/// The action, the outcome and the reason of a line.
fn summary(line: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    [text(&line["action"]), text(&line["outcome"]), text(&line["reason"]["kind"])].join(" ")
}
