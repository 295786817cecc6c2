//! Metrics and the audit file of a server under the soak.

use std::{
    fmt,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use test_support::{
    process::{Running, Server},
    scraping::{address, scrape, value},
    secret_file,
};
use tower_credentials::audit::file::{AuditKey, verify};

use crate::world::World;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Where a server reports what it does.
#[derive(Debug)]
pub(crate) struct Operation {
    file: PathBuf,
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
    let (file, key) = paths(server.home());
    secret_file::write(&key, KEY);
    let (file, key) = (file.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned());
    server.arguments(&["--metrics-listen", "127.0.0.1:0", "--audit-file", &file]).arguments(&[
        "--audit-key",
        &key,
        "--audit-synced",
    ])
}

fn paths(home: &Path) -> (PathBuf, PathBuf) {
    (home.join("audit.log"), home.join("audit.key"))
}

impl Operation {
    pub(crate) async fn of(home: &Path, running: &Running) -> Self {
        Self { file: paths(home).0, metrics: address(running).await }
    }

    /// Checks what the server reports after the run.
    pub(crate) async fn check(&self, world: &World) -> Reported {
        let page = scrape(&self.metrics).await;
        let number = |name: &str| value(&page, &format!("tower_credentials_{name}"));
        if number("audit_healthy") < 0.5 || number("audit_lost_total") > 0.0 {
            world.fault("audit events were lost");
        }
        let file = BufReader::new(File::open(&self.file).unwrap());
        let report = verify([file], &AuditKey::new(KEY.as_bytes()).unwrap(), None, &[]).unwrap();
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
