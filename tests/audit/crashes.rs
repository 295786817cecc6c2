//! `kill -9` between an intent and its outcome.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use serde_json::{Value, json};
use test_support::{
    child_process,
    world::{BOB, DEMO, World, pair, tokens},
};
use tower_credentials::{
    audit::file::Resolved,
    backend::{CredentialBackend, sqlite::SqliteBackend},
};

use crate::{builder, events, files::check};

/// Creates, changes and deletes keys, and prints each change that was acknowledged.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = child_process::role() else { return };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let backend = Arc::new(SqliteBackend::open(folder.join("credentials.db")).unwrap());
        let audit = builder(&folder.join("audit.log")).synced(true).open().unwrap();
        let world = Arc::new(World::of(tokens(), backend, |layer| layer.audit(audit)));
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    for number in 0.. {
                        let key = format!("k{task}-{number}");
                        let path = format!("/credentials/{key}");
                        let new = pair(BOB, DEMO, &key);
                        let create = world.post("/credentials").token("dev-admin").json(&new);
                        assert_eq!(create.send().await.status, 201);
                        println!("created {key}");
                        let off = json!({"credential": {"blob": {"status": "Inactive"}}});
                        let change = world.patch(&path).token("dev-admin").json(&off);
                        assert_eq!(change.send().await.status, 200);
                        println!("updated {key}");
                        if number % 3 == 0 {
                            let delete = world.delete(&path).token("dev-admin");
                            assert_eq!(delete.send().await.status, 204);
                            println!("deleted {key}");
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_process_leaves_intents_that_are_resolved_against_the_store() {
    for acknowledged in [1, 37, 160] {
        let folder = tempfile::tempdir().unwrap();
        let lines = run_and_kill(folder.path(), acknowledged);

        let path = folder.path().join("audit.log");
        let backend = SqliteBackend::open(folder.path().join("credentials.db")).unwrap();
        let audit = builder(&path).synced(true).open().unwrap();
        let left = audit.unresolved();
        let Resolved { done, withdrawn, unknown, .. } = audit.resolve(&backend).await.unwrap();
        assert_eq!((done + withdrawn, unknown), (left, 0));
        assert_eq!(audit.unresolved(), 0);
        let events = events(&audit, &path);
        assert!(check(std::slice::from_ref(&path)).findings.is_empty());

        let outcome = |action: &str, key: &str| {
            let is = |event: &&Value| {
                event["type"] == "outcome"
                    && event["action"] == action
                    && event["target"]["access_key"] == key
            };
            events.iter().filter(is).map(|event| event["outcome"].clone()).collect::<Vec<_>>()
        };
        for line in &lines {
            let (what, key) = line.split_once(' ').unwrap();
            let action = what.strip_suffix('d').unwrap();
            assert_eq!(outcome(action, key), ["done"], "{line}");
        }
        // What the log says is what the store has.
        let mut expected: HashMap<String, bool> = HashMap::new();
        for event in events.iter().filter(|event| event["outcome"] == "done") {
            let key = event["target"]["access_key"].as_str().unwrap().to_owned();
            expected.insert(key, event["action"] != "delete");
        }
        for (key, exists) in expected {
            let key = tower_credentials::domain::AccessKey::from_stored(&*key);
            let found = backend.find_by_access_key(&key).await.unwrap();
            assert_eq!(found.is_some(), exists, "{key:?}");
        }
    }
}

/// Runs the writer, and kills it after these many acknowledged changes. Returns them.
fn run_and_kill(folder: &Path, changes: usize) -> Vec<String> {
    let [program, arguments @ ..] =
        child_process::command_line("crashes::writes_until_it_is_killed");
    let mut child = Command::new(program)
        .args(arguments)
        .env(child_process::ROLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_change =
        |line: &String| ["created ", "updated ", "deleted "].iter().any(|it| line.starts_with(it));
    let mut seen = Vec::new();
    while seen.len() < changes {
        let line = lines.next().expect("the writer ended").unwrap();
        if is_change(&line) {
            seen.push(line);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Those that were printed before the signal.
    seen.extend(lines.map_while(Result::ok).filter(is_change));
    seen
}
