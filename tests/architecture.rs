//! Who may know whom: the `use crate::` lines of `src` against one table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Which modules each module may name. What is not here may name everything.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("auth", &["domain"]),
    (
        "authority",
        &[
            "backend",
            "clock",
            "directory",
            "domain",
            "error",
            "issuer",
            "log",
            "policy",
            "signature",
            "usage",
        ],
    ),
    ("backend", &["clock", "domain", "flight", "log", "tls", "usage"]),
    ("body", &[]),
    ("clock", &[]),
    ("conformance", &["backend", "domain", "usage"]),
    ("dialect", &["authority", "directory", "domain", "error", "origin", "signature"]),
    ("directory", &["domain"]),
    ("domain", &[]),
    ("error", &["auth", "backend", "directory", "domain", "issuer"]),
    ("flight", &[]),
    ("future", &["body"]),
    ("fuzzing", &["domain", "s3", "signature"]),
    ("issuer", &["directory", "domain"]),
    ("keystone", &["auth", "clock", "directory", "domain", "flight", "tls"]),
    ("log", &[]),
    ("origin", &[]),
    ("policy", &["directory", "domain"]),
    ("read", &["error"]),
    ("s3", &["backend", "body", "clock", "directory", "domain", "policy", "signature", "usage"]),
    ("signature", &["domain"]),
    ("tls", &[]),
    ("usage", &["domain", "log"]),
];

/// The middleware itself: knows everything, and nothing knows it.
const TOP: &[&str] = &["layer", "lib", "service"];

#[test]
fn modules_know_only_whom_they_may() {
    let uses = uses();
    assert!(uses.len() > MAY_KNOW.len(), "the sources were not found");
    for (module, known) in &uses {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let allowed = MAY_KNOW.iter().find(|(name, _)| name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{module} is not in the table"));
        for name in known {
            let fine = name == module || allowed.contains(&name.as_str());
            assert!(fine, "{module} names {name}, which it may not know");
        }
    }
}

#[test]
fn no_dialect_knows_another() {
    let dialects = ["ibm_cos", "keystone_v2", "keystone_v3"];
    for own in dialects {
        for (path, text) in sources(&Path::new("src/dialect").join(own)) {
            for other in dialects.iter().filter(|other| **other != own) {
                assert!(!code(&text).contains(other), "{path} names {other}");
            }
        }
    }
}

#[test]
fn only_the_clock_reads_the_time() {
    for (path, text) in sources(Path::new("src")) {
        let reads =
            code(&text).contains("SystemTime::now(") || code(&text).contains("Instant::now(");
        assert_eq!(reads, path.ends_with("src/clock.rs"), "{path}");
    }
}

/// For each top-level module, the top-level modules that its `crate::` paths name.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources(Path::new("src")) {
        let rest = path.rsplit_once("src/").unwrap().1;
        let module = rest.split(['/', '.']).next().unwrap().to_owned();
        let known = uses.entry(module).or_default();
        let code = code(&text);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            match rest.strip_prefix('{') {
                // The names at the top level of a braced group.
                Some(group) => {
                    let mut depth = 0;
                    for part in group.split_inclusive(['{', '}', ',']) {
                        if depth == 0 {
                            known.extend(first_name(part));
                        }
                        depth += part.matches('{').count();
                        match part.matches('}').count() {
                            closed if closed > depth => break,
                            closed => depth -= closed,
                        }
                    }
                }
                None => known.extend(first_name(rest)),
            }
        }
    }
    uses
}

fn first_name(path: &str) -> Option<String> {
    let path = path.trim_start();
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
    // Macros and re-exports at the root are nobody's.
    let is_module =
        path[..end].starts_with(|c: char| c.is_lowercase()) && !path[end..].starts_with('!');
    (is_module && path[..end] != *"async_trait").then(|| path[..end].to_owned())
}

/// The text without comments, docs, and what follows the unit tests' line.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let below = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            found.extend(sources(below));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            // A module's unit tests may sit in a file of their own.
            if path.file_stem().is_none_or(|stem| stem != "tests") {
                found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
