//! What the chain of codes finds.

use tower_credentials::audit::file::{AuditKey, ChainHead, ChainReport, FindingKind, verify};

use crate::{LONG, builder, files::world, key};
use test_support::world::{BOB, DEMO};

/// A log with a start line and these many events.
async fn log(events: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let audit = builder(&path).open().unwrap();
    let world = world(&audit);
    for number in 0..events {
        world.mint(BOB, DEMO, &format!("k{number}")).await;
    }
    assert!(audit.close(LONG));
    std::fs::read(path).unwrap()
}

fn check(log: &[u8], heads: &[ChainHead]) -> ChainReport {
    verify([log], &key(), None, heads).unwrap()
}

fn kinds(report: &ChainReport) -> Vec<(u64, FindingKind)> {
    report.findings.iter().map(|finding| (finding.line, finding.kind.clone())).collect()
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let log = log(3).await;
    assert!(check(&log, &[]).findings.is_empty());
    for at in 0..log.len() {
        for changed in [log[at] ^ 1, b' ', b'\n'] {
            let mut bytes = log.clone();
            bytes[at] = changed;
            if bytes != log {
                let report = check(&bytes, &[]);
                assert!(!report.findings.is_empty(), "byte {at} is {changed}");
            }
        }
    }
}

#[tokio::test]
async fn missing_moved_repeated_and_incomplete_lines_are_found() {
    let log = log(5).await;
    let lines: Vec<_> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let joined = |order: &[usize]| order.iter().map(|at| lines[*at]).collect::<Vec<_>>().concat();
    let missing = check(&joined(&[0, 1, 4, 5]), &[]);
    assert_eq!(kinds(&missing), [(3, FindingKind::Missing { from: 3, to: 4 })]);
    assert_eq!(missing.findings[0].kind.to_string(), "lines 3 to 4 are missing");
    let first = check(&joined(&[1, 2, 3, 4, 5]), &[]);
    assert_eq!(kinds(&first), [(1, FindingKind::Missing { from: 1, to: 1 })]);
    let moved = kinds(&check(&joined(&[0, 2, 1, 3, 4, 5]), &[]));
    assert!(moved.contains(&(3, FindingKind::OutOfOrder)), "{moved:?}");
    let repeated = check(&joined(&[0, 1, 1, 2, 3, 4, 5]), &[]);
    assert_eq!(kinds(&repeated)[0], (3, FindingKind::OutOfOrder));
    let torn = check(&log[..log.len() - 1], &[]);
    assert_eq!(kinds(&torn), [(6, FindingKind::Torn)]);
    let foreign = check(&[&log, &b"hello\n"[..]].concat(), &[]);
    assert_eq!(kinds(&foreign), [(7, FindingKind::NotALine)]);
}

#[tokio::test]
async fn removed_end_is_found_with_a_logged_head() {
    let log = log(4).await;
    let head = check(&log, &[]).head.unwrap();
    let logged = ChainHead::parse(&head.to_string()).unwrap();
    assert!(check(&log, &[logged]).findings.is_empty());
    let lines: Vec<_> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let cut = lines[..3].concat();
    assert!(check(&cut, &[]).findings.is_empty());
    assert_eq!(kinds(&check(&cut, &[logged])), [(0, FindingKind::HeadMissing(logged))]);
}

#[tokio::test]
async fn chain_of_another_key_does_not_verify() {
    let log = log(2).await;
    let other = AuditKey::new(&[8; 32]).unwrap();
    let report = verify([&*log], &other, None, &[]).unwrap();
    assert_eq!(report.findings.len(), 3, "{report:?}");
    assert_eq!(report.head, None);
}

#[test]
fn line_of_unlimited_length_is_not_a_line() {
    let endless = [vec![b'a'; 8 << 20], b"\n".to_vec()].concat();
    assert_eq!(kinds(&check(&endless, &[])), [(1, FindingKind::NotALine)]);
}
