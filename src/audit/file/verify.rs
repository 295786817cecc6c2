//! Checks the chain of audit files.

use std::{
    fmt,
    io::{self, BufRead},
    mem,
};

use super::{
    chain::{self, AuditKey, ChainHead},
    lines::{Line, Lines},
    log_file::previous_of,
};

/// How many findings are listed.
const MAX_FINDINGS: usize = 1_000;

/// The result of a check.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ChainReport {
    /// The number of lines.
    pub lines: u64,
    /// The number of the first line.
    pub first: Option<u64>,
    /// The last line whose code is that of its text.
    pub head: Option<ChainHead>,
    /// The deviations, at most 1,000.
    pub findings: Vec<Finding>,
    /// The deviations that are not listed.
    pub more_findings: u64,
}

/// A deviation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The index of the file, from 0.
    pub file: usize,
    /// The line in the file, from 1. 0 for a deviation of no line.
    pub line: u64,
    /// What was found.
    pub kind: FindingKind,
}

/// A kind of deviation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The line was changed, or was written under another key.
    Changed,
    /// The log does not contain the line of this head.
    HeadMissing(ChainHead),
    /// Lines before this one are missing: those with these numbers.
    Missing {
        /// The first missing number.
        from: u64,
        /// The last missing number.
        to: u64,
    },
    /// The line is not a line of an audit file.
    NotALine,
    /// The line was moved or repeated, or a line before it was removed.
    OutOfOrder,
    /// The last line is incomplete: the process that wrote it was killed, or is writing now.
    Torn,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the line was changed, or written under another key"),
            Self::HeadMissing(head) => write!(f, "the log does not contain the line of {head}"),
            Self::Missing { from, to } if from == to => write!(f, "line {from} is missing"),
            Self::Missing { from, to } => write!(f, "lines {from} to {to} are missing"),
            Self::NotALine => f.write_str("not a line of an audit file"),
            Self::OutOfOrder => f.write_str("the line was moved or repeated"),
            Self::Torn => f.write_str("the last line is incomplete"),
        }
    }
}

/// Checks files that contain one chain, the oldest first, and that the chain contains the lines
/// of these heads, which were logged.
///
/// The first line must be the first of the chain, or follow the line of the head `after`. Without a
/// head, the removal of the last lines is not found.
///
/// # Errors
///
/// A file cannot be read.
pub fn verify<R: BufRead>(
    files: impl IntoIterator<Item = R>,
    key: &AuditKey,
    after: Option<ChainHead>,
    heads: &[ChainHead],
) -> io::Result<ChainReport> {
    let last = after.unwrap_or(ChainHead::NONE);
    let heads = heads.iter().filter(|head| Some(**head) != after).copied().collect();
    let mut check = Check { key, report: ChainReport::default(), last, heads };
    for (file, reader) in files.into_iter().enumerate() {
        let (mut lines, mut number) = (Lines(reader), 0);
        while let Some((line, _)) = lines.next()? {
            number += 1;
            let finding = match line {
                Line::Torn => Some(FindingKind::Torn),
                Line::TooLong => Some(FindingKind::NotALine),
                Line::Whole(line) => check.line(&line),
            };
            if let Some(kind) = finding {
                check.report.add(Finding { file, line: number, kind });
            }
        }
        check.report.lines += number;
    }
    for head in check.heads {
        check.report.add(Finding { file: 0, line: 0, kind: FindingKind::HeadMissing(head) });
    }
    Ok(check.report)
}

struct Check<'a> {
    key: &'a AuditKey,
    report: ChainReport,
    /// The number and the code of the line before, as it says.
    last: ChainHead,
    /// Those that were not found yet.
    heads: Vec<ChainHead>,
}

impl Check<'_> {
    /// Checks a line, and goes on from it.
    fn line(&mut self, line: &[u8]) -> Option<FindingKind> {
        let Some(sealed) = chain::split(line) else { return Some(FindingKind::NotALine) };
        let head = sealed.head();
        let last = mem::replace(&mut self.last, head);
        let is_next = self.key.verifies(&last.mac, &sealed);
        // The first line of a file names the code of the line before.
        let is_start = || {
            let previous = previous_of(line).filter(|_| self.report.first.is_none());
            previous.is_some_and(|previous| self.key.verifies(&previous, &sealed))
        };
        if is_next || is_start() {
            self.heads.retain(|wanted| *wanted != head);
            self.report.first.get_or_insert(head.seq);
            self.report.head = Some(head);
        }
        if is_next {
            // The code covers the number, so that this is the line after the last one.
            return None;
        }
        match head.seq.checked_sub(last.seq) {
            Some(1) => Some(FindingKind::Changed),
            Some(gap) if gap > 1 => {
                Some(FindingKind::Missing { from: last.seq + 1, to: head.seq - 1 })
            }
            _ => Some(FindingKind::OutOfOrder),
        }
    }
}

impl ChainReport {
    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}
