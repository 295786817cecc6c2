//! The suite for sinks, run against the file in both modes.

use std::sync::{Arc, Mutex};

use tower_credentials::{
    async_trait,
    audit::{AuditError, AuditEvent, AuditId, AuditOutcome, AuditSink, file::AuditFile},
    conformance::audit::{self, Recorded},
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

/// A sink in memory with a fault.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    events: Mutex<Vec<(AuditId, AuditOutcome)>>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Drops,
    Duplicates,
    IsAlwaysDone,
    RecordsIntents,
    RefusesIntents,
    Reorders,
}

#[async_trait]
impl AuditSink for Faulty {
    async fn intent(&self, event: &AuditEvent) -> Result<(), AuditError> {
        match self.fault {
            Fault::RecordsIntents => {
                self.events.lock().unwrap().push((event.id, AuditOutcome::Unknown));
                Ok(())
            }
            Fault::RefusesIntents => Err(AuditError::new("refused")),
            _ => Ok(()),
        }
    }

    fn record(&self, event: AuditEvent) {
        let mut events = self.events.lock().unwrap();
        let number = events.len();
        match self.fault {
            Fault::Drops if number == 1 => {}
            Fault::Duplicates => events.extend([(event.id, event.outcome); 2]),
            Fault::IsAlwaysDone => events.push((event.id, AuditOutcome::Done)),
            Fault::Reorders => events.insert(number / 2, (event.id, event.outcome)),
            _ => events.push((event.id, event.outcome)),
        }
    }
}

#[async_trait]
impl Recorded for Faulty {
    async fn recorded(&self) -> Vec<(AuditId, AuditOutcome)> {
        self.events.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn suite_finds_each_faulty_sink() {
    for fault in [
        Fault::Drops,
        Fault::Duplicates,
        Fault::IsAlwaysDone,
        Fault::RecordsIntents,
        Fault::RefusesIntents,
        Fault::Reorders,
    ] {
        let sink = || Arc::new(Faulty { fault, events: Mutex::default() });
        let [one, two, three, four, five] = std::array::from_fn(|_| sink());
        let cases = [
            tokio::spawn(audit::concurrent_events_are_all_recorded(one.clone(), one)),
            tokio::spawn(audit::events_are_recorded_once_in_their_order(two.clone(), two)),
            tokio::spawn(audit::hostile_text_makes_no_other_event(three.clone(), three)),
            tokio::spawn(audit::intent_has_one_outcome(four.clone(), four)),
            tokio::spawn(audit::withdrawn_change_is_never_done(five.clone(), five)),
        ];
        let mut failed = 0;
        for case in cases {
            failed += usize::from(case.await.is_err());
        }
        assert!(failed > 0, "{fault:?} is not found");
    }
}
