//! The files of `src`, what they name, and the circles that this makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The files of a crate.
pub(crate) struct Crate {
    pub(crate) files: Vec<File>,
}

/// What one file declares and names.
pub(crate) struct File {
    /// The path below `src`.
    path: String,
    /// The names of the modules that lead to it; none for the root.
    pub(crate) module: Vec<String>,
    /// The names of items and of modules that it declares.
    items: BTreeSet<String>,
    children: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// The paths in its code beside the imports.
    pub(crate) paths: Vec<Vec<String>>,
    /// The words in its code beside the imports.
    words: BTreeSet<String>,
}

/// One name of a `use` declaration.
pub(crate) struct Import {
    /// The name in this file; `*` for all names.
    name: String,
    pub(crate) path: Vec<String>,
    /// Whether it has a visibility, so that other files can name it too.
    is_re_export: bool,
}

impl Crate {
    pub(crate) fn read() -> Self {
        let files = sources(Path::new("src"));
        let file = |(path, text): &(String, String)| {
            File::parse(path.rsplit_once("src/").unwrap().1, text)
        };
        Self::new(files.iter().map(file).collect())
    }

    /// Keeps the files whose modules are declared outside of unit tests.
    pub(crate) fn new(files: Vec<File>) -> Self {
        let declared = |file: &File| {
            (0..file.module.len()).all(|depth| {
                let parent = files.iter().find(|parent| parent.module == file.module[..depth]);
                parent.is_some_and(|parent| parent.children.contains(&file.module[depth]))
            })
        };
        let declared: Vec<bool> = files.iter().map(declared).collect();
        let files = files.into_iter().zip(declared);
        Self { files: files.filter_map(|(file, declared)| declared.then_some(file)).collect() }
    }

    /// Which files each file depends on: those with the definitions of what it names.
    ///
    /// A path through a module that only re-exports leads to the file with the definition.
    /// A re-export is a dependency only if the file that makes it uses the name too.
    /// Declaring or importing a module is not a dependency; naming an item in it is. Methods
    /// are not followed.
    pub(crate) fn graph(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (index, file) in self.files.iter().enumerate() {
            let used = |import: &&Import| !import.is_re_export || file.words.contains(&import.name);
            let imports = file.imports.iter().filter(used);
            let named = graph.entry(&file.path).or_default();
            for path in imports.map(|import| &import.path).chain(&file.paths) {
                match self.resolve(index, path, 0) {
                    Some(other) if other != index => {
                        named.insert(&self.files[other].path);
                    }
                    _ => {}
                }
            }
        }
        graph
    }

    /// The file with the item that a path in a file names. `None` if the path names a module or
    /// leads out of the crate.
    fn resolve(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        let file = &self.files[from];
        let mut module = file.module.clone();
        let mut rest = path;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name if rest.len() < path.len() || file.children.contains(name) => break,
                // A module that the file imports, such as `json` in `json::object`.
                name if path.len() > 1 => {
                    let import = file.imports.iter().find(|import| import.name == name)?;
                    if depth > 8 || import.path == path {
                        return None;
                    }
                    let path = [&import.path[..], &rest[1..]].concat();
                    return self.resolve(from, &path, depth + 1);
                }
                _ => return None,
            }
            rest = &rest[1..];
        }
        self.descend(module, rest, depth)
    }

    fn descend(&self, mut module: Vec<String>, path: &[String], depth: usize) -> Option<usize> {
        let mut at = self.files.iter().position(|file| file.module == module)?;
        for (index, name) in path.iter().enumerate() {
            let file = &self.files[at];
            if file.children.contains(name) {
                module.push(name.clone());
                at = self.files.iter().position(|file| file.module == module)?;
                continue;
            }
            if file.items.contains(name) || name == "*" {
                return Some(at);
            }
            if depth > 8 {
                return None;
            }
            let rest = &path[index + 1..];
            if let Some(import) = file.imports.iter().find(|import| import.name == *name) {
                return self.resolve(at, &[&import.path[..], rest].concat(), depth + 1);
            }
            for import in file.imports.iter().filter(|import| import.name == "*") {
                let glob = &import.path[..import.path.len() - 1];
                let through = [glob, &path[index..]].concat();
                if let Some(found) = self.resolve(at, &through, depth + 1) {
                    return Some(found);
                }
            }
            // What a macro makes, unless the path leads out through an import.
            return Some(at);
        }
        None
    }
}

impl File {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let names = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = match names {
            "lib" => Vec::new(),
            names => names.split('/').map(str::to_owned).collect(),
        };
        let (items, children, imports) = Default::default();
        let (paths, words) = Default::default();
        let mut file = Self { path: path.into(), module, items, children, imports, paths, words };
        let tokens = without_tests(&tokens(text));
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            let next = tokens.get(at + 1).map_or("", String::as_str);
            match tokens[at].as_str() {
                "use" => {
                    let end = at + tokens[at..].iter().position(|token| token == ";").unwrap();
                    let before = at.checked_sub(1).map_or("", |at| &tokens[at]);
                    let public = depth == 0 && matches!(before, "pub" | ")");
                    file.import(&tokens[at + 1..end], &[], public);
                    at = end;
                }
                "{" => depth += 1,
                "}" => depth -= 1,
                "mod" if depth == 0 => {
                    file.children.insert(next.to_owned());
                    at += 1;
                }
                "const" | "enum" | "fn" | "static" | "struct" | "trait" | "type" | "union"
                    if depth == 0 && is_word(next) =>
                {
                    file.items.insert(next.to_owned());
                }
                word if is_word(word) => {
                    let mut path = vec![word.to_owned()];
                    while tokens.get(at + 1).is_some_and(|token| token == "::")
                        && tokens.get(at + 2).is_some_and(|token| is_word(token))
                    {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    file.words.insert(path[0].clone());
                    if path.len() > 1 {
                        file.paths.push(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        file
    }

    /// Adds the names of a `use` tree below a path; returns how many tokens it has.
    fn import(&mut self, tree: &[String], prefix: &[String], is_re_export: bool) -> usize {
        let (mut path, mut name, mut at) = (prefix.to_vec(), None, 0);
        while at < tree.len() && !matches!(tree[at].as_str(), "," | "}") {
            match tree[at].as_str() {
                "::" => {}
                "{" => {
                    at += 1;
                    while tree[at] != "}" {
                        at += self.import(&tree[at..], &path, is_re_export);
                        at += usize::from(tree[at] == ",");
                    }
                    return at + 1;
                }
                "as" => {
                    at += 1;
                    name = Some(tree[at].clone());
                }
                // The module itself, in a group.
                "self" if !path.is_empty() => {}
                segment => path.push(segment.to_owned()),
            }
            at += 1;
        }
        let name = name.or_else(|| path.last().cloned()).unwrap();
        self.imports.push(Import { name, path, is_re_export });
        at
    }
}

/// The groups of files that reach each other.
pub(crate) fn circles(graph: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let reached = |from: &str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = open.pop() {
            let named = graph[file.as_str()].iter();
            open.extend(
                named.filter(|to| reached.insert((**to).to_owned())).map(|to| (*to).to_owned()),
            );
        }
        reached
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|file| (*file, reached(file))).collect();
    let group = |file: &&str| {
        let both = |other: &&str| reached[file].contains(*other) && reached[*other].contains(*file);
        let group: Vec<_> = graph.keys().copied().filter(both).map(str::to_owned).collect();
        (!group.is_empty()).then_some(group)
    };
    let circles: BTreeSet<_> = graph.keys().filter_map(group).collect();
    circles.into_iter().collect()
}

/// The words and signs of a source file. Comments are left out, and of literals only the
/// quotes stay.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
    let matches_at = |at: usize, wanted: &str| {
        wanted.chars().enumerate().all(|(index, c)| chars.get(at + index) == Some(&c))
    };
    while at < chars.len() {
        let start = at;
        at += 1;
        match chars[start] {
            c if c.is_whitespace() => continue,
            '/' if matches_at(start, "//") => {
                at += chars[at..].iter().take_while(|c| **c != '\n').count();
                continue;
            }
            // Raw strings end with as many signs as they start with.
            'r' if matches_at(at, "\"") || matches_at(at, "#\"") || matches_at(at, "##\"") => {
                let signs = chars[at..].iter().take_while(|c| **c == '#').count();
                let end = format!("\"{}", "#".repeat(signs));
                at += signs + 1;
                while !matches_at(at, &end) {
                    at += 1;
                }
                at += signs + 1;
                tokens.push("\"".into());
                continue;
            }
            quote @ ('"' | '\'') => {
                // A lifetime has no second quote.
                let is_lifetime = quote == '\'' && chars[at] != '\\' && chars[at + 1] != '\'';
                while !is_lifetime && chars[at] != quote {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += usize::from(!is_lifetime);
                if !is_lifetime {
                    tokens.push("\"".into());
                }
                continue;
            }
            c if is_part(&c) => at += chars[at..].iter().take_while(|c| is_part(c)).count(),
            ':' if matches_at(start, "::") => at += 1,
            _ => {}
        }
        tokens.push(chars[start..at].iter().collect());
    }
    tokens
}

/// The tokens without the items that only tests have.
pub(crate) fn without_tests(tokens: &[String]) -> Vec<String> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !ATTRIBUTE.iter().eq(&tokens[at..tokens.len().min(at + ATTRIBUTE.len())]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += ATTRIBUTE.len();
        let mut depth = 0_usize;
        loop {
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
            at += 1;
        }
        at += 1;
    }
    kept
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

pub(crate) fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let below = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            found.extend(sources(below));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}
