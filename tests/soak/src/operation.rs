//! Metrics and the audit file of a server under the soak.

use std::{fmt, path::Path};

use test_support::{
    audit_file::AuditFile,
    process::{Running, Server},
    scraping::{address, scrape, value},
};

use crate::world::World;

/// Where a server reports what it does.
#[derive(Debug)]
pub(crate) struct Operation {
    audit: AuditFile,
    metrics: String,
}

/// What a server reported.
#[derive(Debug)]
pub(crate) struct Reported {
    lines: u64,
    failures: f64,
    delayed: f64,
    series: usize,
}

/// Gives a server metrics and a synced audit file.
pub(crate) fn with_operation(server: Server) -> Server {
    let audit = AuditFile::new(server.home()).options();
    let audit: Vec<_> = audit.iter().map(String::as_str).collect();
    server.arguments(&["--metrics-listen", "127.0.0.1:0"]).arguments(&audit)
}

impl Operation {
    pub(crate) async fn of(home: &Path, running: &Running) -> Self {
        Self { audit: AuditFile::new(home), metrics: address(running).await }
    }

    /// Checks what the server reports after the run.
    pub(crate) async fn check(&self, world: &World) -> Reported {
        let page = scrape(&self.metrics).await;
        let number = |name: &str| value(&page, &format!("tower_credentials_{name}"));
        if number("audit_healthy") < 0.5 || number("audit_lost_total") > 0.0 {
            world.fault("audit events were lost");
        }
        let report = self.audit.verify(&[]);
        if let Some(finding) = report.findings.first() {
            world.fault(format_args!("the audit file does not verify: {finding:?}"));
        }
        Reported {
            lines: report.lines,
            failures: number("guesser_failures_total"),
            delayed: number("guessers_delayed_total"),
            series: page.lines().filter(|line| !line.starts_with('#')).count(),
        }
    }
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, failures, delayed, series } = self;
        write!(
            f,
            "{lines} audit lines; {failures} guesses, {delayed} of them late; {series} series of \
             metrics"
        )
    }
}
