//! The suite for sinks, run against the file in both modes.

use async_trait::async_trait;
use tower_credentials::{
    audit::{AuditId, AuditOutcome, file::AuditFile},
    conformance::audit::Recorded,
};

use crate::{builder, events};

struct Events {
    folder: tempfile::TempDir,
    audit: AuditFile,
}

#[async_trait]
impl Recorded for Events {
    async fn recorded(&self) -> Vec<(AuditId, AuditOutcome)> {
        let lines = events(&self.audit, &self.folder.path().join("audit.log"));
        let lines = lines.iter().filter(|line| line["type"] != "intent");
        lines
            .map(|line| {
                let outcome = match line["outcome"].as_str().unwrap() {
                    "done" => AuditOutcome::Done,
                    "refused" => AuditOutcome::Refused,
                    "unknown" => AuditOutcome::Unknown,
                    "withdrawn" => AuditOutcome::Withdrawn,
                    other => panic!("{other}"),
                };
                (AuditId::parse(line["id"].as_str().unwrap()).unwrap(), outcome)
            })
            .collect()
    }
}

fn open(is_synced: bool) -> (AuditFile, Events) {
    let folder = tempfile::tempdir().unwrap();
    let audit = builder(&folder.path().join("audit.log")).synced(is_synced).open().unwrap();
    (audit.clone(), Events { folder, audit })
}

mod unsynced {
    async fn sink() -> (super::AuditFile, super::Events) {
        super::open(false)
    }

    tower_credentials::audit_conformance_tests!(sink);
}

mod synced {
    async fn sink() -> (super::AuditFile, super::Events) {
        super::open(true)
    }

    tower_credentials::audit_conformance_tests!(sink);
}
