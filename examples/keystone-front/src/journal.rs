//! A journal of imported credentials, in a file beside the store.
//!
//! With it, an import does not restore records that were deleted in the store, and does not
//! overwrite those that were changed there.
//!
//! Each line is an imported credential; the last line of an id is valid. A line is written after
//! the record. After a crash in between, the record equals Keystone's, so the next import counts it
//! as unchanged.

use std::{
    collections::HashMap,
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// An imported credential.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// The id of its record in the store.
    pub record: String,
    /// The fingerprint of the record after the import. `None` if the import did not write the
    /// record.
    pub state: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Line {
    /// Keystone's id.
    id: String,
    #[serde(flatten)]
    entry: Entry,
}

/// The journal of a store, locked against other imports.
#[derive(Debug)]
pub struct Journal {
    file: File,
    entries: HashMap<String, Entry>,
}

/// The paths of the store and of its journal beside it, if the store is a file.
pub fn paths(url: Option<&str>, default: &Path) -> Option<(Option<PathBuf>, PathBuf)> {
    let store = match url {
        None => default.to_owned(),
        Some(url) => url.strip_prefix("sqlite:").filter(|path| !path.is_empty())?.into(),
    };
    let mut journal = store.clone().into_os_string();
    journal.push(".imported");
    Some((Some(store), journal.into()))
}

/// Creates an empty journal if the store does not exist. Call this before the store is opened.
pub fn create_with_store(store: &Path, journal: &Path) -> Result<(), Box<dyn Error>> {
    let is_new = match fs::metadata(store) {
        Ok(found) => found.len() == 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(with_path(store, &error)),
    };
    if !is_new {
        return Ok(());
    }
    let created = open_append(journal).and_then(|file| {
        file.set_len(0)?;
        file.sync_all()?;
        sync_folder(journal)
    });
    created.map_err(|error| with_path(journal, &error))
}

impl Journal {
    /// Opens the journal. With `again`, creates it if it does not exist.
    pub fn open(path: &Path, again: bool) -> Result<Self, Box<dyn Error>> {
        if !again && !path.try_exists().map_err(|error| with_path(path, &error))? {
            return Err(format!(
                "{} does not exist. Without this record of earlier imports, an import would restore \
                 the keys that were deleted from the store since. Restore the file, or use --again \
                 to import anyway",
                path.display()
            )
            .into());
        }
        Self::read(path).map_err(|error| with_path(path, &*error))
    }

    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = open_append(path)?;
        file.try_lock().map_err(|_| "another import is running")?;
        let text = fs::read_to_string(path)?;
        // A crash may have truncated the last line.
        let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut entries = HashMap::new();
        for (number, line) in complete.lines().enumerate() {
            let Ok(Line { id, entry }) = serde_json::from_str(line) else {
                return Err(format!("not a journal line (line {})", number + 1).into());
            };
            entries.insert(id, entry);
        }
        let mut this = Self { file, entries };
        if text.len() != complete.len() || complete.lines().count() != this.entries.len() {
            this.rewrite(path)?;
        }
        sync_folder(path)?;
        Ok(this)
    }

    /// Replaces the file by one without outdated lines.
    fn rewrite(&mut self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let file = open_append(Path::new(&new))?;
        file.try_lock().map_err(|_| "another import is running")?;
        file.set_len(0)?;
        let mut entries: Vec<_> = self.entries.clone().into_iter().collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        write_lines(&file, entries)?;
        fs::rename(&new, path)?;
        self.file = file;
        Ok(())
    }

    /// The entry of the credential with this id in Keystone.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Appends entries, and flushes them to the disk.
    pub fn append(&mut self, imported: Vec<(String, Entry)>) -> io::Result<()> {
        if imported.is_empty() {
            return Ok(());
        }
        write_lines(&self.file, imported.clone())?;
        self.entries.extend(imported);
        Ok(())
    }
}

fn write_lines(mut file: &File, entries: Vec<(String, Entry)>) -> io::Result<()> {
    let mut text = Vec::new();
    for (id, entry) in entries {
        serde_json::to_writer(&mut text, &Line { id, entry })?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()
}

/// Opens or creates a file for appending. Only its owner can read a new file.
fn open_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Flushes a file's name to the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix)
        && let Some(folder) = std::path::absolute(path)?.parent()
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn with_path(path: &Path, error: &(impl std::fmt::Display + ?Sized)) -> Box<dyn Error> {
    format!("{}: {error}", path.display()).into()
}
