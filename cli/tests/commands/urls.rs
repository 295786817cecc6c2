//! Passwords in URLs: they can be kept off the command line, and are never printed.

use std::net::TcpListener;

use crate::{records::every_kind, secret_file::set_mode, tool::Tool};

/// A URL with a password, of a server that does not exist.
fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("postgres://amy:hush@127.0.0.1:{port}/keys?sslmode=disable")
}

fn write_url(tool: &Tool, text: &str, mode: u32) {
    tool.write_private("url", text);
    set_mode(tool.path("url"), mode);
}

#[tokio::test]
async fn url_can_come_from_the_environment_or_a_private_file() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    write_url(&tool, "sqlite:b.db\nand something else\n", 0o600);
    let run = tool.with(&["copy", "env:STORE", "@url"], |command| {
        command.env("STORE", "sqlite:a.db");
    });
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout().starts_with("from: sqlite:a.db\nto: sqlite:b.db\n"), "{}", run.stdout());
    assert!(tool.records("b.db").await == every_kind());
    let first = every_kind().remove(0);
    assert_eq!(tool.json(&["remove", "@url", first.id.as_str()])["removed"], 1);
    assert_eq!(tool.json(&["stats", "@url"])["records"], 6);
}

#[test]
fn exposed_or_invalid_url_file_is_rejected_and_not_printed() {
    let tool = Tool::new();
    for (text, mode, why) in [
        (&*nowhere(), 0o640, "chmod 600"),
        (&nowhere(), 0o604, "chmod 600"),
        (&nowhere(), 0o602, "chmod 600"),
        ("hush\n", 0o600, "url does not contain the URL"),
        ("", 0o600, "url is empty"),
        ("env:HUSH", 0o600, "url does not contain the URL"),
    ] {
        write_url(&tool, text, mode);
        for command in [&["stats", "@url"][..], &["copy", "sqlite:a.db", "@url"]] {
            let run = tool.run(command);
            assert_eq!(run.code, 2, "{run:?}");
            assert!(run.stderr.contains(why), "{run:?}");
            assert!(!run.stderr.contains("hush"), "{run:?}");
        }
    }
    for (place, why) in [("@missing", "missing"), ("env:NOT_SET", "NOT_SET"), ("@", "cannot")] {
        let run = tool.run(&["stats", place]);
        assert!(run.code == 2 && run.stderr.contains(why), "{run:?}");
    }
}

#[test]
fn password_in_a_url_is_never_printed() {
    let tool = Tool::new();
    let url = nowhere();
    write_url(&tool, &url, 0o600);
    let option = format!("--nonsense={url}");
    for (arguments, code) in [
        (&["stats", "@url"][..], 3),
        (&["--json", "verify", "env:STORE"], 3),
        (&["copy", "env:STORE", "sqlite:b.db"], 3),
        // In place of another argument.
        (&[&url], 2),
        (&["stats", "sqlite:a.db", &url], 2),
        (&["stats", "sqlite:a.db", &option], 2),
        (&["import", "sqlite:a.db", "file", "--plaintext", "--salvage", &url], 2),
    ] {
        let run = tool.with(arguments, |command| {
            command.env("STORE", &url);
        });
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        let output = format!("{}{}", run.stdout(), run.stderr);
        assert!(!output.is_empty() && !output.contains("hush"), "{arguments:?}: {output}");
        let repeats_it = code == 2 && !arguments.contains(&&*option);
        assert!(!repeats_it || output.contains("amy:***@"), "{arguments:?}: {output}");
    }
}
