//! URLs whose passwords nobody sees: not on the command line, and not in what is said.

use std::net::TcpListener;

use crate::{records::every_kind, secret_file::set_mode, tool::Tool};

/// A URL with a password, at which nothing answers.
fn nowhere() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("postgres://amy:hush@127.0.0.1:{port}/keys?sslmode=disable")
}

fn write_url(tool: &Tool, text: &str, mode: u32) {
    tool.write_private("url", text);
    set_mode(tool.path("url"), mode);
}

#[tokio::test]
async fn a_url_may_be_in_the_environment_or_in_a_file_of_ones_own() {
    let tool = Tool::new();
    tool.fill("a.db", &every_kind()).await;
    write_url(&tool, "sqlite:b.db\nand what else there is\n", 0o600);
    let ran = tool.with(&["copy", "env:STORE", "@url"], |command| {
        command.env("STORE", "sqlite:a.db");
    });
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout().starts_with("from: sqlite:a.db\nto: sqlite:b.db\n"), "{}", ran.stdout());
    assert!(tool.records("b.db").await == every_kind());
    let first = every_kind().remove(0);
    assert_eq!(tool.json(&["remove", "@url", first.id.as_str()])["removed"], 1);
    assert_eq!(tool.json(&["stats", "@url"])["records"], 6);
}

#[test]
fn a_file_that_others_can_read_or_that_holds_no_url_is_refused_and_not_repeated() {
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
            let ran = tool.run(command);
            assert_eq!(ran.code, 2, "{ran:?}");
            assert!(ran.stderr.contains(why), "{ran:?}");
            assert!(!ran.stderr.contains("hush"), "{ran:?}");
        }
    }
    for (place, why) in [("@missing", "missing"), ("env:NOT_SET", "NOT_SET"), ("@", "cannot")] {
        let ran = tool.run(&["stats", place]);
        assert!(ran.code == 2 && ran.stderr.contains(why), "{ran:?}");
    }
}

#[test]
fn a_password_is_not_told_wherever_its_url_comes_from_or_stands() {
    let tool = Tool::new();
    let url = nowhere();
    write_url(&tool, &url, 0o600);
    let option = format!("--nonsense={url}");
    for (arguments, code) in [
        (&["stats", "@url"][..], 3),
        (&["--json", "verify", "env:STORE"], 3),
        (&["copy", "env:STORE", "sqlite:b.db"], 3),
        // Where none is expected.
        (&[&url], 2),
        (&["stats", "sqlite:a.db", &url], 2),
        (&["stats", "sqlite:a.db", &option], 2),
        (&["import", "sqlite:a.db", "file", "--plaintext", "--salvage", &url], 2),
    ] {
        let ran = tool.with(arguments, |command| {
            command.env("STORE", &url);
        });
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        let said = format!("{}{}", ran.stdout(), ran.stderr);
        assert!(!said.is_empty() && !said.contains("hush"), "{arguments:?}: {said}");
        let repeats_it = code == 2 && !arguments.contains(&&*option);
        assert!(!repeats_it || said.contains("amy:***@"), "{arguments:?}: {said}");
    }
}
