//! Lists contain every name once and in order, with pages of any size.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use test_support::signing::{Signing, escaped};

use crate::lab::Lab;

const KEYS: [&str; 16] = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a/d",
    "a0",
    "ab/1",
    "ab/2",
    "ab/\u{10ffff}",
    "b",
    "c/+ &<",
    "c/\u{1}",
    "c//x",
    "ü/1",
    "ü/2",
    "\u{10ffff}/1",
];

/// The names on all pages of a list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    keys: Vec<String>,
    prefixes: Vec<String>,
}

/// The expected names with this prefix and delimiter.
fn expected(prefix: &str, delimiter: &str, after: &str) -> Listed {
    let mut listed = Listed::default();
    let mut groups = BTreeSet::new();
    let mut keys = KEYS.to_vec();
    keys.sort_unstable();
    for key in keys.into_iter().filter(|key| key.starts_with(prefix) && *key > after) {
        let rest = &key[prefix.len()..];
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => {
                groups.insert(key[..prefix.len() + at + delimiter.len()].to_owned());
            }
            None => listed.keys.push(key.to_owned()),
        }
    }
    listed.prefixes = groups.into_iter().collect();
    listed
}

/// Reads all pages of a list.
async fn list(who: &Signing, version: u8, question: &str, most: usize) -> Listed {
    let mut listed = Listed::default();
    let mut place = String::new();
    for _ in 0..=KEYS.len() {
        let list_type = if version == 2 { "&list-type=2" } else { "" };
        let query = format!("demo?encoding-type=url{list_type}&max-keys={most}{question}{place}");
        let answer = who.get(&query).await.expect(200);
        let decoded = |text: &String| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let keys: Vec<_> = answer.all("Key").iter().map(decoded).collect();
        // The first one is the requested prefix.
        let prefixes: Vec<_> = answer.all("Prefix").iter().skip(1).map(decoded).collect();
        let is_truncated = answer.all("IsTruncated") == ["true"];
        let on_page = keys.len() + prefixes.len();
        assert!(on_page == most || !is_truncated && on_page < most, "{query}: {answer:?}");
        listed.keys.extend(keys);
        listed.prefixes.extend(prefixes);
        if !is_truncated {
            return listed;
        }
        place = match version {
            2 => format!("&continuation-token={}", answer.all("NextContinuationToken")[0]),
            _ => format!("&marker={}", answer.all("NextMarker")[0]),
        };
    }
    panic!("{question} by {most}: the pages do not end");
}

#[tokio::test]
async fn pages_contain_every_name_once_in_both_versions() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    for key in KEYS {
        alice.put(&format!("demo/{}", escaped(key)), "").await.expect(200);
    }
    for prefix in ["", "a", "a/", "c/", "ü", "x", "\u{10ffff}"] {
        for delimiter in ["", "/", "b", "\u{10ffff}"] {
            for (version, most) in [(1, 1), (2, 1), (1, 3), (2, 2), (1, 1_000), (2, 5)] {
                let (prefix_text, delimiter_text) = (escaped(prefix), escaped(delimiter));
                let question = format!("&prefix={prefix_text}&delimiter={delimiter_text}");
                let listed = list(&alice, version, &question, most).await;
                let what = format!("{prefix:?} {delimiter:?} {most}");
                assert_eq!(listed, expected(prefix, delimiter, ""), "{what}");
            }
        }
    }
    // The start may be any text.
    for after in ["a/b", "a/c", "a0", "zzz", "\u{10ffff}/1"] {
        for (version, name) in [(1, "marker"), (2, "start-after")] {
            let question = format!("&{name}={}", escaped(after));
            let listed = list(&alice, version, &question, 1_000).await;
            assert_eq!(listed, expected("", "", after), "{after:?}");
        }
    }
}

#[tokio::test]
async fn invalid_list_parameters_are_rejected() {
    let lab = Lab::start(&[]).await;
    let alice = lab.alice().await;
    alice.put("demo/object", "").await.expect(200);
    let max_keys = "max-keys must be an integer between 0 and 4294967295";
    for (query, message) in [
        ("list-type=1", "list-type must be 2"),
        (
            "list-type=2&continuation-token=%3F",
            "continuation-token must be the NextContinuationToken of a list",
        ),
        ("max-keys=-1", max_keys),
        ("max-keys=x", max_keys),
        ("encoding-type=html", "encoding-type must be url"),
    ] {
        let answer = alice.get(&format!("demo?{query}")).await;
        answer.fails(400, "InvalidArgument");
        assert_eq!(answer.all("Message"), [message]);
    }
    let none = alice.get("demo?max-keys=0").await.expect(200);
    assert_eq!((none.all("Key").len(), none.all("IsTruncated")), (0, vec!["false".to_owned()]));
    let capped = alice.get("demo?max-keys=5000").await.expect(200);
    assert_eq!(capped.all("MaxKeys"), ["1000"]);
}
