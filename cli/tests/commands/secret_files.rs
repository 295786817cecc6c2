//! Files with secrets that others can read or write.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::{MetadataExt as _, chown},
    process::Command,
};

use crate::{
    records::every_kind,
    secret_file::{OPEN, set_mode},
    tool::{BINARY, Ran, Tool},
};

/// A user who is not the one that runs the tests.
const NOBODY: u32 = 65_534;

/// A tool with a sealed store, a sealed export, and a file of each kind.
async fn prepared() -> Tool {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    tool.fine(&["key", "ring", "one"]);
    tool.fine(&["init", "sqlite:sealed.db", "--key-ring", "ring"]);
    tool.write_private("url", "sqlite:a.db\n");
    let recipient = tool.recipient();
    tool.fine(&["export", "sqlite:a.db", "keyed", "--recipient", &recipient]);
    tool.fine(&["export", "sqlite:a.db", "phrased", "--passphrase-file", "passphrase"]);
    tool
}

/// A command for each file that it reads a secret from.
const READERS: [(&str, &[&str]); 9] = [
    ("passphrase", &["export", "sqlite:a.db", "out", "--passphrase-file", "passphrase"]),
    ("passphrase", &["import", "sqlite:b.db", "phrased", "--passphrase-file", "passphrase"]),
    ("key", &["import", "sqlite:b.db", "keyed", "--identity", "key"]),
    ("ring", &["stats", "sqlite:sealed.db", "--key-ring", "ring"]),
    ("ring", &["reseal", "sqlite:sealed.db", "--key-ring", "ring"]),
    ("ring", &["copy", "sqlite:sealed.db", "sqlite:b.db", "--from-key-ring", "ring"]),
    ("ring", &["copy", "sqlite:a.db", "sqlite:b.db", "--to-key-ring", "ring"]),
    ("ring", &["key", "ring", "two", "--standby"]),
    ("url", &["stats", "@url"]),
];

fn assert_refused(tool: &Tool, ran: &Ran, file: &str) {
    let secret = fs::read_to_string(tool.path(file)).unwrap();
    let said = format!("{}{}", ran.stdout(), ran.stderr);
    assert!([1, 2].contains(&ran.code), "{file}: {ran:?}");
    assert!(said.contains("--accept-open-files"), "{file}: {said}");
    assert!(!said.contains(secret.trim_end()), "{file}: {said}");
}

#[tokio::test]
async fn files_that_others_can_read_or_write_are_refused() {
    let tool = prepared().await;
    for (file, command) in READERS {
        for mode in OPEN {
            set_mode(tool.path(file), mode);
            let ran = tool.run(command);
            assert_refused(&tool, &ran, file);
            let chmod = ran.stderr.split('`').find(|part| part.starts_with("chmod 600 "));
            assert!(chmod.is_some_and(|chmod| chmod.ends_with(file)), "{mode:o}: {ran:?}");
        }
        set_mode(tool.path(file), 0o600);
        assert!(!tool.path("out").exists() && !tool.path("b.db").exists(), "{command:?}");
    }
    for (_, command) in READERS {
        tool.fine(command);
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
    }
}

#[tokio::test]
async fn switch_accepts_files_that_others_can_read() {
    let tool = prepared().await;
    for (file, command) in READERS {
        set_mode(tool.path(file), 0o644);
        let ran = tool.fine(&[command, &["--accept-open-files"]].concat());
        assert!(ran.stderr.contains("chmod 600"), "{ran:?}");
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
    }
    // Before the command too.
    tool.fine(&["--accept-open-files", "stats", "@url"]);
}

#[test]
fn chmod_to_run_is_quoted_for_a_shell() {
    let tool = Tool::new();
    let name = "amy's pass phrase";
    tool.write_private(name, "open sesame\n");
    tool.fine(&["init", "sqlite:a.db"]);
    set_mode(tool.path(name), 0o644);
    let export = ["export", "sqlite:a.db", "out", "--passphrase-file", name];
    let said = tool.run(&export).stderr;
    let chmod = said.split('`').nth(1).unwrap();
    let shell = Command::new("sh").args(["-c", chmod]).current_dir(tool.path(".")).status();
    assert!(shell.unwrap().success(), "{chmod}");
    tool.fine(&export);
}

#[tokio::test]
async fn file_of_another_user_is_refused() {
    let tool = prepared().await;
    for (file, command) in READERS.into_iter().filter(|(_, command)| command[0] != "key") {
        if !give_away(&tool, file) {
            return;
        }
        let ran = tool.run(command);
        assert_refused(&tool, &ran, file);
        assert!(ran.stderr.contains(&format!("`chown 0 {file}`")), "{ran:?}");
        tool.fine(&[command, &["--accept-open-files"]].concat());
        let _ = (fs::remove_file(tool.path("out")), fs::remove_file(tool.path("b.db")));
        chown(tool.path(file), Some(0), Some(0)).unwrap();
    }
}

#[test]
fn ring_of_another_user_gets_a_key_and_stays_theirs() {
    let tool = Tool::new();
    tool.fine(&["key", "ring", "one"]);
    if !give_away(&tool, "ring") {
        return;
    }
    tool.fine(&["key", "ring", "two"]);
    assert_eq!(fs::metadata(tool.path("ring")).unwrap().uid(), NOBODY);
    set_mode(tool.path("ring"), 0o640);
    assert_refused(&tool, &tool.run(&["key", "ring", "three"]), "ring");
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
fn passphrase_may_come_through_a_pipe_of_the_shell() {
    let tool = Tool::new();
    tool.fine(&["init", "sqlite:a.db"]);
    let script = r#""$0" export sqlite:a.db out --passphrase-file <(echo open sesame)"#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).arg(BINARY).current_dir(tool.path("."));
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    tool.fine(&["import", "sqlite:b.db", "out", "--passphrase-file", "passphrase"]);
}

#[test]
fn named_pipe_that_others_can_read_is_refused() {
    let tool = Tool::new();
    tool.fine(&["init", "sqlite:a.db"]);
    for (mode, is_fine) in [("644", false), ("600", true)] {
        let script = format!(
            "mkfifo -m {mode} pipe-{mode}; (echo open sesame >pipe-{mode}) & \
             \"$0\" export sqlite:a.db out --passphrase-file pipe-{mode}"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(BINARY).current_dir(tool.path("."));
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_fine, "{said}");
        assert_eq!(said.contains("chmod 600 pipe-644"), !is_fine, "{said}");
    }
}

#[test]
fn empty_and_huge_files_are_refused() {
    let tool = Tool::new();
    tool.fine(&["init", "sqlite:a.db"]);
    tool.write_private("empty", "");
    tool.write_private("huge", "x");
    File::options().write(true).open(tool.path("huge")).unwrap().set_len((16 << 20) + 1).unwrap();
    for (file, why) in [
        ("empty", "empty is empty"),
        ("huge", "huge is larger than 16 MiB"),
        // Open to all, and keeps nothing.
        ("/dev/null", "/dev/null is empty"),
    ] {
        let told = tool.json(&["export", "sqlite:a.db", "out", "--passphrase-file", file]);
        assert_eq!(told["exit"], 2, "{told}");
        assert_eq!(told["error"], why);
    }
}
