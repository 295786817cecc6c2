//! Parses the output of `strace -f -y -xx`, and checks the order of calls.

use std::{collections::HashMap, fmt};

/// A system call, with the lines of the trace where it begins and returns.
///
/// If calls of other threads come in between, it has two lines. Otherwise it begins and returns on
/// one line.
#[derive(Debug)]
pub(crate) struct Call {
    name: String,
    /// The arguments as bytes, starting with the file name.
    arguments: Vec<u8>,
    succeeded: bool,
    begins: usize,
    returns: usize,
}

/// Parses a trace. Returns the calls in the order in which they begin.
pub(crate) fn parse(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(rest) = text.strip_prefix("<... ") {
            let Some((_, rest)) = rest.split_once(" resumed>") else { continue };
            let Some(call) = open.remove(thread).and_then(|index| calls.get_mut(index)) else {
                continue;
            };
            (call.returns, call.succeeded) = (line, succeeded(rest));
            call.arguments.extend(bytes(rest));
        } else if let Some((name, rest)) = text.split_once('(') {
            let unfinished = rest.ends_with("<unfinished ...>");
            if unfinished {
                open.insert(thread, calls.len());
            }
            calls.push(Call {
                name: name.to_owned(),
                arguments: bytes(rest),
                succeeded: !unfinished && succeeded(rest),
                begins: line,
                // Never, unless a later line says so.
                returns: if unfinished { usize::MAX } else { line },
            });
        }
    }
    calls
}

/// Whether the call returned no error.
fn succeeded(text: &str) -> bool {
    text.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with(['-', '?']))
}

/// Decodes escapes like `\x4b`.
fn bytes(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 3);
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once("\\x") {
        decoded.extend(plain.as_bytes());
        let byte = escaped.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.extend(byte);
        rest = escaped.get(2..).unwrap_or_default();
    }
    decoded.extend(rest.as_bytes());
    decoded
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

impl Call {
    fn is_on(&self, file: &str) -> bool {
        let end = self.arguments.iter().position(|byte| *byte == b'>').unwrap_or_default();
        self.arguments[..end].ends_with(file.as_bytes())
    }

    /// Whether this is a successful sync of the write-ahead log.
    fn is_sync(&self) -> bool {
        matches!(&*self.name, "fsync" | "fdatasync") && self.is_on("-wal") && self.succeeded
    }

    fn is_wal_write(&self) -> bool {
        self.name.starts_with("pwrite") && self.is_on("-wal")
    }

    /// The written bytes.
    fn payload(&self) -> &[u8] {
        let start = self.arguments.iter().position(|byte| *byte == b'"');
        start.map_or(&[], |start| &self.arguments[start + 1..])
    }

    /// Whether this is the header of a frame that ends a transaction. It has 24 bytes. Bytes 4 to 7
    /// are the size of the file after a commit, or else zero.
    fn ends_transaction(&self) -> bool {
        let header = self.payload();
        header.get(24) == Some(&b'"') && header.get(4..8).is_some_and(|size| size != [0; 4])
    }
}

/// The result of the check of a trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Creates with a response of 201.
    pub(crate) acknowledged: usize,
    /// Those of them that no sync covers.
    pub(crate) uncovered: Vec<String>,
    /// Syncs of the log by system call.
    pub(crate) syncs: HashMap<String, usize>,
}

/// Finds creates that were acknowledged too early.
///
/// The log consists of frames, each a header and a page. A sync covers a create if it **begins**
/// after the last frame of the transaction was written, and **returns** before the response is
/// written.
pub(crate) fn judge<'a>(calls: &[Call], keys: impl Iterator<Item = &'a str>) -> Verdict {
    let writes: Vec<&Call> = calls.iter().filter(|call| call.is_wal_write()).collect();
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is_sync()).collect();
    let answers: Vec<&Call> =
        calls.iter().filter(|call| contains(&call.arguments, b"1.1 201 ")).collect();
    let mut verdict = Verdict::default();
    for sync in &syncs {
        *verdict.syncs.entry(sync.name.clone()).or_default() += 1;
    }
    for key in keys {
        let shown = format!("\"access\":\"{key}\"");
        // The trace is in hexadecimal, so that quotes are not escaped.
        let answer = answers.iter().find(|call| contains(&call.arguments, shown.as_bytes()));
        let Some(answer) = answer else { continue };
        verdict.acknowledged += 1;
        // Later writes of the key are pages that other creates changed.
        let first = writes.iter().position(|call| contains(&call.arguments, key.as_bytes()));
        let last = first.and_then(|first| {
            // From the header of that frame to the page of the frame that commits.
            let from = first.saturating_sub(1);
            let header = writes[from..].iter().position(|call| call.ends_transaction())?;
            writes.get(from + header + 1)
        });
        let covered = last.is_some_and(|last| {
            let covers = |sync: &&&Call| sync.begins > last.returns && sync.returns < answer.begins;
            last.succeeded && syncs.iter().find(covers).is_some()
        });
        if !covered {
            verdict.uncovered.push(key.to_owned());
        }
    }
    verdict
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, uncovered, syncs } = self;
        write!(f, "{acknowledged} creates acknowledged, {} before a sync; ", uncovered.len())?;
        for (name, count) in syncs {
            write!(f, "{count} {name} of the log")?;
        }
        Ok(())
    }
}

/// Bytes as strace writes them.
pub(crate) fn hex(text: &[u8]) -> String {
    let escaped: Vec<_> = text.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    escaped.concat()
}

/// The system calls of a create in several orders.
#[test]
fn check_finds_a_create_that_is_acknowledged_too_early() {
    let wal = format!("9<{}>", hex(b"/data/credentials.db-wal"));
    let header = |size: u8| {
        let header = [&[0, 0, 0, 2, 0, 0, 0, size][..], &[7; 16]].concat();
        format!("11 pwrite64({wal}, \"{}\", 24, 32) = 24\n", hex(&header))
    };
    let page =
        |text: &str| format!("11 pwrite64({wal}, \"{}\", 4096, 56) = 4096\n", hex(text.as_bytes()));
    let (row, commit) = (header(0) + &page("..key-1.."), header(9) + &page(".."));
    let sync = format!("11 fsync({wal}) = 0\n");
    let fdatasync = format!("11 fdatasync({wal}) = 0\n");
    let begun = format!("11 fsync({wal} <unfinished ...>\n");
    let done = "11 <... fsync resumed>) = 0\n".to_owned();
    let failed = format!("11 fsync({wal}) = -1 EIO (Input/output error)\n");
    let other = format!("11 fsync(9<{}>) = 0\n", hex(b"/data/credentials.db"));
    let (status, body) = (hex(b"HTTP/1.1 201 Created"), hex(b"{\"access\":\"key-1\"}"));
    let answer = format!(
        "12 writev(14<{}>, [{{iov_base=\"{status}\", iov_len=9}}, {{iov_base=\"{body}\"}}], 2) = 9\n",
        hex(b"socket:[1]")
    );

    let uncovered = |parts: &[&String]| {
        let trace: String = parts.iter().map(|part| part.as_str()).collect();
        let verdict = judge(&parse(&trace), ["key-1", "key-2"].into_iter());
        assert_eq!(verdict.acknowledged, usize::from(parts.contains(&&answer)), "{trace}");
        verdict.uncovered.len()
    };
    assert_eq!(uncovered(&[&row, &commit, &sync, &answer]), 0);
    assert_eq!(uncovered(&[&row, &commit, &fdatasync, &answer]), 0);
    assert_eq!(uncovered(&[&row, &commit, &begun, &done, &answer]), 0);
    assert_eq!(uncovered(&[&row, &commit, &sync, &answer, &row, &commit]), 0);
    assert_eq!(uncovered(&[&row, &commit, &sync]), 0);

    assert_eq!(uncovered(&[&row, &commit, &answer, &sync]), 1);
    assert_eq!(uncovered(&[&sync, &row, &commit, &answer]), 1);
    assert_eq!(uncovered(&[&row, &sync, &commit, &answer]), 1);
    assert_eq!(uncovered(&[&row, &commit, &begun, &answer, &done]), 1);
    assert_eq!(uncovered(&[&row, &begun, &commit, &done, &answer]), 1);
    assert_eq!(uncovered(&[&row, &commit, &failed, &answer]), 1);
    assert_eq!(uncovered(&[&row, &commit, &other, &answer]), 1);
    assert_eq!(uncovered(&[&row, &sync, &answer]), 1);
    assert_eq!(uncovered(&[&answer]), 1);
}
