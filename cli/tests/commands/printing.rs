//! Ids of records, printed for people.

use crate::{records::many, tool::Tool};

/// What moves a terminal's cursor, starts another line, and runs backwards.
const HOSTILE: &str = "x\nrecords: 0\r\u{1b}[2K\u{9b}\u{202e}\u{2066}";

#[tokio::test]
async fn hostile_ids_are_escaped_for_people_and_kept_in_json() {
    let tool = Tool::new();
    tool.fill("a.db", &many(1)).await;
    let ran = tool.run(&["remove", "sqlite:a.db", HOSTILE, "a \"b\" c\\d"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let printed = format!("{}{}", ran.stdout(), ran.stderr);
    let hidden = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(c));
    assert!(!printed.contains(hidden), "{printed:?}");
    let escaped = "  x\\nrecords: 0\\r\\u{1b}[2K\\u{9b}\\u{202e}\\u{2066}\n";
    assert!(printed.contains(escaped), "{printed}");
    assert!(printed.contains("  a \"b\" c\\d\n"), "{printed}");

    let told = tool.json(&["remove", "sqlite:a.db", HOSTILE]);
    assert_eq!(told["not_there"][0], HOSTILE);
}
