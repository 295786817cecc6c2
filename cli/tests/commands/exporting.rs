//! The content of exports, and who can read them.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::{Duration, UNIX_EPOCH},
};

use age::x25519;
use sha2::{Digest, Sha256};
use tower_credentials::{backend::sqlite::SqliteBackend, usage::UsageLog as _};

use crate::{
    installed::has,
    records::{SECRET, every_kind, many, pair},
    tool::{BINARY, Tool},
};

/// Exports exist as files: their format never changes.
#[tokio::test]
async fn export_lines_have_the_documented_format() {
    let tool = Tool::new();
    let records = every_kind();
    let one = records.iter().find(|record| record.status.as_str() == "Inactive").unwrap();
    tool.fill("a.db", std::slice::from_ref(one)).await;
    let used = [(one.id.clone(), UNIX_EPOCH + Duration::from_secs(1_790_000_009))];
    SqliteBackend::open(tool.path("a.db")).unwrap().record(&used).await.unwrap();
    let run = tool.run_ok(&["export", "sqlite:a.db", "--plaintext"]);
    let lines: Vec<_> = run.stdout().split_inclusive('\n').collect();
    let [header, record, footer] = lines[..] else { panic!("{lines:?}") };
    let start = r#"{"format":"tower-credentials-export","version":1,"created_at":1"#;
    assert!(header.starts_with(start), "{header}");
    let expected = include_str!("first.jsonl").split_inclusive('\n').nth(1);
    assert_eq!(Some(record), expected);
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{header}{record}")));
    assert_eq!(footer, format!("{{\"records\":1,\"sha256\":\"{digest}\"}}\n"));
}

#[tokio::test]
async fn every_kind_of_record_survives_an_export() {
    let tool = Tool::new();
    let records = every_kind();
    tool.fill("a.db", &records).await;
    let recipient = tool.recipient();
    for (name, seal, key) in [
        ("plain", &["--plaintext"][..], &["--plaintext"][..]),
        ("keyed", &["--recipient", &recipient], &["--identity", "key"]),
        ("phrased", &["--passphrase-file", "passphrase"], &["--passphrase-file", "passphrase"]),
    ] {
        let exported = tool.json(&[&["export", "sqlite:a.db", name], seal].concat());
        assert_eq!(exported["records"], 7);
        assert_eq!(exported["sealed"], name != "plain");
        let url = format!("sqlite:{name}.db");
        let imported = tool.json(&[&["import", &url, name], key].concat());
        assert_eq!((&imported["stored"], &imported["exit"]), (&7.into(), &0.into()), "{imported}");
        assert!(tool.records(&format!("{name}.db")).await == records, "{name}");
        let again = tool.json(&[&["import", &url, name], key].concat());
        assert_eq!((&again["stored"], &again["already_there"]), (&0.into(), &7.into()));
    }
}

#[tokio::test]
async fn sealed_export_reveals_nothing() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let recipient = tool.recipient();
    for seal in [["--recipient", &*recipient], ["--passphrase-file", "passphrase"]] {
        let file = seal[0];
        tool.run_ok(&[&["export", "sqlite:a.db", &format!("./{file}")], &seal[..]].concat());
        let sealed = fs::read(tool.path(file)).unwrap();
        let text = String::from_utf8_lossy(&sealed);
        assert!(text.starts_with("age-encryption.org/v1\n"));
        for word in [SECRET, "AKFULL", "alice", "created_at", "records"] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[tokio::test]
async fn export_to_several_keys_opens_with_any_of_them() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let other = x25519::Identity::generate().to_public().to_string();
    let recipient = tool.recipient();
    let seal = ["--recipient", &other, "--recipient", &recipient];
    tool.run_ok(&[&["export", "sqlite:a.db", "out"], &seal[..]].concat());
    tool.run_ok(&["import", "sqlite:b.db", "out", "--identity", "key"]);
    assert!(tool.records("b.db").await == every_kind());
}

#[tokio::test]
async fn unsealed_export_requires_the_plaintext_option() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    let report = tool.json(&["export", "sqlite:a.db", "out"]);
    assert_eq!(report["exit"], 2);
    assert!(report["error"].as_str().unwrap().contains("--plaintext"), "{report}");
    for variable in ["", "passphrase of the environment"] {
        let run = tool.with(&["export", "sqlite:a.db", "out"], |command| {
            command.env("CREDENTIALS_PASSPHRASE", variable);
        });
        assert_eq!(run.code == 0, !variable.is_empty(), "{run:?}");
        assert_eq!(tool.path("out").exists(), !variable.is_empty());
    }
    tool.write_private("empty", "\n");
    for file in ["empty", "missing"] {
        let report = tool.json(&["export", "sqlite:a.db", "out2", "--passphrase-file", file]);
        assert_eq!(report["exit"], 2, "{report}");
    }
}

#[tokio::test]
async fn export_file_is_private_and_never_overwritten() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.run_ok(&["export", "sqlite:a.db", "out", "--plaintext"]);
    let before = fs::read(tool.path("out")).unwrap();
    assert_eq!(fs::metadata(tool.path("out")).unwrap().permissions().mode() & 0o777, 0o600);
    let report = tool.json(&["export", "sqlite:a.db", "out", "--plaintext"]);
    assert_eq!((&report["exit"], &report["error"]), (&4.into(), &"out already exists".into()));
    assert!(fs::read(tool.path("out")).unwrap() == before);
    let report = tool.json(&["export", "sqlite:a.db", "no/folder/out", "--plaintext"]);
    assert_eq!(report["exit"], 1, "{report}");
}

#[tokio::test]
async fn export_can_be_piped_into_an_import() {
    let tool = Tool::new();
    tool.fill("a.db", &many(2_500)).await;
    let recipient = tool.recipient();
    let mut exporting = tool.command(&["export", "sqlite:a.db", "--recipient", &recipient]);
    exporting.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut exporting = exporting.spawn().unwrap();
    let piped = exporting.stdout.take().unwrap();
    let imported = tool.with(&["import", "sqlite:b.db", "-", "--identity", "key"], |command| {
        command.stdin(piped);
    });
    assert_eq!((imported.code, exporting.wait().unwrap().code()), (0, Some(0)), "{imported:?}");
    assert!(tool.records("b.db").await == many(2_500));
}

#[tokio::test]
async fn interrupted_export_leaves_no_file() {
    let tool = Tool::new();
    tool.fill("a.db", &many(20_000)).await;
    let has_begun = || {
        let mut names = fs::read_dir(tool.path(".")).unwrap().map(|it| it.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with(".credentials-"))
    };
    // On a busy machine the export may end before the signal.
    for attempt in 0..10 {
        let file = format!("out-{attempt}");
        let mut exporting = tool.start(&["export", "sqlite:a.db", &file, "--plaintext"]);
        while !has_begun() && exporting.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let interrupt = format!("kill -INT {}", exporting.id());
        let _ = Command::new("sh").args(["-c", &interrupt]).status().unwrap();
        if exporting.wait().unwrap().code() == Some(1) {
            assert!(!has_begun() && !tool.path(&file).exists());
            return;
        }
    }
    panic!("every export ended before the signal");
}

#[tokio::test]
async fn passphrase_prompt_asks_twice_to_seal_and_once_to_open() {
    if !has("script", Command::new("script").arg("--version")) {
        return;
    }
    let tool = Tool::new();
    tool.fill("a.db", &[pair("AKA", "alice")]).await;
    // `script` gives the tool a terminal.
    let type_in = |arguments: &str, typed: &str| {
        let line = format!("{BINARY} {arguments}");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(tool.path("."));
        command.env_remove("CREDENTIALS_PASSPHRASE").stdout(Stdio::piped()).stdin(Stdio::piped());
        let mut running = command.spawn().unwrap();
        // The terminal buffers the input until the prompt.
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(typed.as_bytes()).unwrap();
        stdin.flush().unwrap();
        let output = running.wait_with_output().unwrap();
        drop(stdin);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, output) = type_in("export sqlite:a.db out", "one\ntwo\n");
    assert_eq!(code, 2, "{output}");
    assert!(output.contains("two passphrases"), "{output}");
    let (code, output) = type_in("export sqlite:a.db out", "open sesame\nopen sesame\n");
    assert_eq!(code, 0, "{output}");
    let (code, output) = type_in("import sqlite:b.db out", "open sesame\n");
    assert_eq!(code, 0, "{output}");
    assert!(tool.records("b.db").await == [pair("AKA", "alice")]);
    // The passphrase is the same as in the file.
    tool.run_ok(&["import", "sqlite:c.db", "out", "--passphrase-file", "passphrase"]);
}
