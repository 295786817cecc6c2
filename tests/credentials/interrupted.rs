//! `kill -9` halfway, and again.

use std::{process::Child, thread::sleep, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{example::Waiting, records::many, tool::Tool};

/// More than some loads.
const RECORDS: usize = 45_000;

/// Kills a command once a part of the records is in the store; how many were.
fn kill_halfway(tool: &Tool, mut command: Child, store: &str) -> usize {
    let count = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = Connection::open_with_flags(tool.path(store), flags).ok()?;
        let count = store.query_row("SELECT count(*) FROM credentials", [], |row| row.get(0));
        count.ok().map(|count: i64| usize::try_from(count).unwrap())
    };
    for () in Waiting::new() {
        if count().is_some_and(|count| count > 0) {
            break;
        }
        sleep(Duration::from_millis(2));
    }
    command.kill().unwrap();
    assert!(command.wait().unwrap().code().is_none(), "it ended before it was killed");
    count().unwrap()
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_when_it_is_run_again() {
    let tool = Tool::new();
    let records = many(RECORDS);
    tool.fill("a.db", &records).await;
    let recipient = tool.recipient();
    tool.fine(&["export", "sqlite:a.db", "out", "--recipient", &recipient]);
    let import = ["import", "sqlite:b.db", "out", "--identity", "key"];
    let there = kill_halfway(&tool, tool.start(&import), "b.db");
    eprintln!("import killed with {there} of {RECORDS} records stored");
    assert!(there > 0 && there < RECORDS, "{there}");
    let told = tool.json(&import);
    assert_eq!(told["exit"], 0, "{told}");
    assert_eq!(told["already_there"], there);
    assert_eq!(told["stored"], RECORDS - there);
    assert!(tool.records("b.db").await == records);
}

#[tokio::test]
async fn a_copy_that_was_killed_goes_on_when_it_is_run_again() {
    let tool = Tool::new();
    let records = many(RECORDS);
    tool.fill("a.db", &records).await;
    let copy = ["copy", "sqlite:a.db", "sqlite:b.db"];
    let there = kill_halfway(&tool, tool.start(&copy), "b.db");
    eprintln!("copy killed with {there} of {RECORDS} records stored");
    assert!(there > 0 && there < RECORDS, "{there}");
    let told = tool.json(&copy);
    assert_eq!(told["exit"], 0, "{told}");
    assert_eq!(told["already_there"], there);
    assert!(tool.records("b.db").await == records);
    assert!(tool.records("a.db").await == records);
}
