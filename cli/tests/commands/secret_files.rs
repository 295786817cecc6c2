//! Files with secrets that other users can read or write.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::{MetadataExt as _, chown},
    process::Command,
};

use crate::{
    records::every_kind,
    secret_file::{OPEN, set_mode},
    tool::{BINARY, Run, Tool},
};

/// Not the user that runs the tests.
const NOBODY: u32 = 65_534;

/// A tool with a sealed store, a sealed export, and a file of each kind.
async fn prepared() -> Tool {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.run_ok(&["ring", "ring", "one"]);
    tool.run_ok(&["init", "sqlite:sealed.db", "--key-ring", "ring"]);
    tool.write_private("url", "sqlite:a.db\n");
    let recipient = tool.recipient();
    tool.run_ok(&["export", "sqlite:a.db", "keyed", "--recipient", &recipient]);
    tool.run_ok(&["export", "sqlite:a.db", "phrased", "--passphrase-file", "passphrase"]);
    tool
}

/// A file with a secret, and a command that reads it.
const READERS: [(&str, &[&str]); 9] = [
    ("passphrase", &["export", "sqlite:a.db", "out", "--passphrase-file", "passphrase"]),
    ("passphrase", &["import", "sqlite:b.db", "phrased", "--passphrase-file", "passphrase"]),
    ("key", &["import", "sqlite:b.db", "keyed", "--identity", "key"]),
    ("ring", &["stats", "sqlite:sealed.db", "--key-ring", "ring"]),
    ("ring", &["reseal", "sqlite:sealed.db", "--key-ring", "ring"]),
    ("ring", &["copy", "sqlite:sealed.db", "sqlite:b.db", "--from-key-ring", "ring"]),
    ("ring", &["copy", "sqlite:a.db", "sqlite:b.db", "--to-key-ring", "ring"]),
    ("ring", &["ring", "ring", "two", "--standby"]),
    ("url", &["stats", "@url"]),
];

fn assert_refused(tool: &Tool, run: &Run, file: &str) {
    let secret = fs::read_to_string(tool.path(file)).unwrap();
    let output = format!("{}{}", run.stdout(), run.stderr);
    assert!([1, 2].contains(&run.code), "{file}: {run:?}");
    assert!(output.contains("--accept-open-files"), "{file}: {output}");
    assert!(!output.contains(secret.trim_end()), "{file}: {output}");
}

#[tokio::test]
async fn files_that_others_can_read_or_write_are_refused() {
    let tool = prepared().await;
    for (file, command) in READERS {
        for mode in OPEN {
            set_mode(tool.path(file), mode);
            let run = tool.run(command);
            assert_refused(&tool, &run, file);
            let chmod = run.stderr.split('`').find(|part| part.starts_with("chmod 600 "));
            assert!(chmod.is_some_and(|chmod| chmod.ends_with(file)), "{mode:o}: {run:?}");
        }
        set_mode(tool.path(file), 0o600);
        assert!(!tool.path("out").exists() && !tool.path("b.db").exists(), "{command:?}");
    }
    for (_, command) in READERS {
        tool.run_ok(command);
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
    }
}

#[tokio::test]
async fn accept_open_files_accepts_files_that_others_can_read() {
    let tool = prepared().await;
    for (file, command) in READERS {
        set_mode(tool.path(file), 0o644);
        let run = tool.run_ok(&[command, &["--accept-open-files"]].concat());
        assert!(run.stderr.contains("chmod 600"), "{run:?}");
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
    }
    // The option may precede the command.
    tool.run_ok(&["--accept-open-files", "stats", "@url"]);
}

#[test]
fn suggested_chmod_is_quoted_for_a_shell() {
    let tool = Tool::new();
    let name = "amy's pass phrase";
    tool.write_private(name, "open sesame\n");
    tool.run_ok(&["init", "sqlite:a.db"]);
    set_mode(tool.path(name), 0o644);
    let export = ["export", "sqlite:a.db", "out", "--passphrase-file", name];
    let output = tool.run(&export).stderr;
    let chmod = output.split('`').nth(1).unwrap();
    let shell = Command::new("sh").args(["-c", chmod]).current_dir(tool.path(".")).status();
    assert!(shell.unwrap().success(), "{chmod}");
    tool.run_ok(&export);
}

#[tokio::test]
async fn file_of_another_user_is_refused() {
    let tool = prepared().await;
    for (file, command) in READERS.into_iter().filter(|(_, command)| command[0] != "ring") {
        if !give_away(&tool, file) {
            return;
        }
        let run = tool.run(command);
        assert_refused(&tool, &run, file);
        assert!(run.stderr.contains(&format!("`chown 0 {file}`")), "{run:?}");
        tool.run_ok(&[command, &["--accept-open-files"]].concat());
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
        chown(tool.path(file), Some(0), Some(0)).unwrap();
    }
}

#[test]
fn key_ring_of_another_user_gets_a_key_and_keeps_its_owner() {
    let tool = Tool::new();
    tool.run_ok(&["ring", "ring", "one"]);
    if !give_away(&tool, "ring") {
        return;
    }
    tool.run_ok(&["ring", "ring", "two"]);
    assert_eq!(fs::metadata(tool.path("ring")).unwrap().uid(), NOBODY);
    set_mode(tool.path("ring"), 0o640);
    assert_refused(&tool, &tool.run(&["ring", "ring", "three"]), "ring");
}

/// Gives a file to another user; only root can.
fn give_away(tool: &Tool, file: &str) -> bool {
    match chown(tool.path(file), Some(NOBODY), None) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            eprintln!("skipped: only root can give files away");
            false
        }
        result => result.is_ok(),
    }
}

#[test]
fn passphrase_can_come_from_a_shell_pipe() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    let script = r#""$0" export sqlite:a.db out --passphrase-file <(echo open sesame)"#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).arg(BINARY).current_dir(tool.path("."));
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    tool.run_ok(&["import", "sqlite:b.db", "out", "--passphrase-file", "passphrase"]);
}

#[test]
fn named_pipe_that_others_can_read_is_refused() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    for (mode, is_accepted) in [("644", false), ("600", true)] {
        let script = format!(
            "mkfifo -m {mode} pipe-{mode}; (echo open sesame >pipe-{mode}) & \
             \"$0\" export sqlite:a.db out --passphrase-file pipe-{mode}"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(BINARY).current_dir(tool.path("."));
        let output = shell.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_accepted, "{stderr}");
        assert_eq!(stderr.contains("chmod 600 pipe-644"), !is_accepted, "{stderr}");
    }
}

#[test]
fn empty_and_huge_files_are_refused() {
    let tool = Tool::new();
    tool.run_ok(&["init", "sqlite:a.db"]);
    tool.write_private("empty", "");
    tool.write_private("huge", "x");
    File::options().write(true).open(tool.path("huge")).unwrap().set_len((16 << 20) + 1).unwrap();
    for (file, why) in [
        ("empty", "empty is empty"),
        ("huge", "huge is larger than 16 MiB"),
        // Readable by everybody, but not a file.
        ("/dev/null", "/dev/null is empty"),
    ] {
        let report = tool.json(&["export", "sqlite:a.db", "out", "--passphrase-file", file]);
        assert_eq!(report["exit"], 2, "{report}");
        assert_eq!(report["error"], why);
    }
}
