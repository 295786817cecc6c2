//! Who may know whom: the paths in `src` against one table, and no circles of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

mod source;

use source::{Crate, File, circles, sources, tokens, without_tests};

/// Which modules each module may name. What is not here may name everything.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("audit", &["backend", "clock", "domain", "meter", "origin", "secret_files"]),
    ("auth", &["domain"]),
    (
        "authority",
        &[
            "audit",
            "aws",
            "backend",
            "boundary",
            "clock",
            "counters",
            "directory",
            "domain",
            "error",
            "guessers",
            "issuer",
            "log",
            "policy",
            "session",
            "signature",
            "usage",
        ],
    ),
    ("aws", &["boundary", "domain"]),
    ("backend", &["clock", "domain", "flight", "log", "meter", "secret_files", "tls", "usage"]),
    ("body", &[]),
    ("boundary", &["network", "operation"]),
    ("clock", &[]),
    ("config", &["dialect", "origin"]),
    ("conformance", &["audit", "backend", "domain", "usage"]),
    ("counters", &[]),
    (
        "dialect",
        &[
            "audit",
            "authority",
            "directory",
            "domain",
            "error",
            "guessers",
            "meter",
            "origin",
            "session",
            "signature",
        ],
    ),
    ("directory", &["domain"]),
    ("domain", &[]),
    ("error", &["auth", "backend", "boundary", "directory", "domain", "guessers", "issuer"]),
    ("flight", &[]),
    ("future", &["body", "guessers"]),
    ("fuzzing", &["dialect", "domain", "s3", "session", "signature"]),
    ("guessers", &["clock", "counters", "meter", "origin"]),
    ("issuer", &["directory", "domain"]),
    ("keystone", &["auth", "clock", "directory", "domain", "flight", "meter", "tls"]),
    ("log", &[]),
    ("macros", &[]),
    ("meter", &["clock"]),
    ("metrics", &["backend", "clock", "domain", "meter"]),
    ("network", &[]),
    ("operation", &["signature"]),
    ("origin", &["network"]),
    ("policy", &["directory", "domain"]),
    ("read", &["error"]),
    ("route", &["meter"]),
    (
        "s3",
        &[
            "backend",
            "body",
            "boundary",
            "clock",
            "directory",
            "domain",
            "guessers",
            "meter",
            "operation",
            "origin",
            "policy",
            "session",
            "signature",
            "usage",
        ],
    ),
    ("secret_files", &["domain", "log"]),
    ("session", &["boundary", "domain", "signature"]),
    ("signature", &["domain"]),
    ("tls", &[]),
    ("usage", &["domain", "log"]),
];

/// The middleware itself: knows everything, and nothing knows it.
const TOP: &[&str] = &["builder", "layer", "lib", "service", "shared", "wires"];

#[test]
fn modules_know_only_whom_they_may() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in Crate::read().files {
        let module = file.module.first().map_or("lib", String::as_str).to_owned();
        let paths = file.imports.iter().map(|import| &import.path).chain(&file.paths);
        let names = paths.filter(|path| path[0] == "crate").filter_map(|path| path.get(1));
        uses.entry(module).or_default().extend(names.cloned());
    }
    assert!(uses.len() > MAY_KNOW.len(), "the sources were not found");
    let modules: BTreeSet<String> = uses.keys().cloned().collect();
    for (module, known) in &uses {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let allowed = MAY_KNOW.iter().find(|(name, _)| name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{module} is not in the table"));
        // The rest are macros and re-exports at the root, which belong to no module.
        for name in known.intersection(&modules) {
            let fine = name == module || allowed.contains(&name.as_str());
            assert!(fine, "{module} names {name}, which it may not know");
        }
    }
}

#[test]
fn no_dialect_knows_another() {
    let dialects = ["aws_iam", "aws_sts", "ibm_cos", "keystone_v2", "keystone_v3"];
    for own in dialects {
        for (path, text) in sources(&Path::new("src/dialect").join(own)) {
            let tokens = without_tests(&tokens(&text));
            for other in dialects.iter().filter(|other| **other != own) {
                assert!(!tokens.iter().any(|token| token == other), "{path} names {other}");
            }
        }
    }
}

#[test]
fn only_the_clock_reads_the_time() {
    for (path, text) in sources(Path::new("src")) {
        let tokens = without_tests(&tokens(&text)).join("");
        let reads = tokens.contains("SystemTime::now(") || tokens.contains("Instant::now(");
        assert_eq!(reads, path.ends_with("src/clock.rs"), "{path}");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles(&Crate::read().graph());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn planted_circle_is_found_and_re_exports_make_none() {
    let planted = |files: &[(&str, &str)]| {
        let file = |(path, text): &(&str, &str)| File::parse(path, text);
        circles(&Crate::new(files.iter().map(file).collect()).graph())
    };
    let circle = ["a.rs", "b/mod.rs"].map(str::to_owned).to_vec();
    let root = ("lib.rs", "mod a; mod b; pub use a::A;");
    let parent = "mod c; pub(crate) use self::c::C; use crate::a; struct B(a::A);";
    // The re-export alone is no import: `C` is not used in `b/mod.rs`.
    let child = ("b/c.rs", "use super::B; pub(crate) struct C(B);");
    assert_eq!(
        planted(&[root, ("a.rs", "pub struct A;"), ("b/mod.rs", parent), child]),
        [[""; 0]; 0]
    );
    for user in [
        "use crate::b::{self, B}; pub struct A(B);",
        "pub struct A(crate::b::B);",
        "use super::b::*; pub struct A(B);",
        "use crate::b; pub struct A(b::B);",
        "pub struct A; fn f() { let b = super::b::B::new(); }",
    ] {
        let found = planted(&[root, ("a.rs", user), ("b/mod.rs", parent), child]);
        assert_eq!(found, std::slice::from_ref(&circle), "{user}");
    }
    for innocent in [
        "pub struct A; // crate::b::B",
        "pub struct A(&'static str); const TEXT: &str = \"crate::b::B\";",
        "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }",
        "pub struct A; #[cfg(test)] use crate::b::B; fn f<'a>(_: &'a u8) {}",
    ] {
        let files = [root, ("a.rs", innocent), ("b/mod.rs", parent), child];
        assert_eq!(planted(&files), [[""; 0]; 0], "{innocent}");
    }
    // A re-export that the file itself uses is an import.
    let users = ("b/mod.rs", "mod c; pub use self::c::C; pub struct B(C);");
    let found = planted(&[root, ("a.rs", "pub struct A;"), users, child]);
    assert_eq!(found, [["b/c.rs", "b/mod.rs"]]);
}
