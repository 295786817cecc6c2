//! The command `audit verify`: checks the chain of an audit log.

use std::{fs::File, io::BufReader};

use serde_json::{Value, json};
use tower_credentials::{
    audit::file::{self, AuditKey, ChainHead},
    secret_files::SecretFiles,
};

use crate::{
    options::AuditVerify,
    report::{Exit, Failure, MAX_LISTED, Report},
};

pub(crate) fn verify(options: &AuditVerify, files: SecretFiles) -> Result<Report, Failure> {
    let key = AuditKey::resolve(&options.key, files)
        .map_err(|error| Failure::of(Exit::Usage, &error).context(&options.key))?;
    let open = |path| File::open(path).map(BufReader::new);
    let mut readers = Vec::with_capacity(options.files.len());
    for path in &options.files {
        let place = path.display().to_string();
        let reader = open(path);
        let failed = |error| Failure::of(Exit::Unavailable, &error).context(&place);
        readers.push(reader.map_err(failed)?);
    }
    let report = file::verify(readers, &key, options.after, &options.head)?;
    let count = report.findings.len() as u64 + report.more_findings;
    let findings = report.findings.iter().take(MAX_LISTED).map(|finding| {
        let path = options.files.get(finding.file).map(|path| path.display().to_string());
        let place = path.filter(|_| finding.line > 0);
        json!({"file": place, "line": finding.line, "finding": finding.kind.to_string()})
    });
    let failure = (count > 0).then(|| {
        let message = format!("the log does not verify: {count} findings");
        Failure::new(Exit::Problem, message)
    });
    Ok(Report::default()
        .with("files", options.files.len())
        .with("lines", report.lines)
        .with("first", report.first)
        .with("head", report.head.as_ref().map(ChainHead::to_string))
        .with("findings", count)
        .with("deviations", findings.collect::<Vec<Value>>())
        .failing(failure))
}
