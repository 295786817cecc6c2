//! What was imported, kept beside the store: what is deleted here must not come back
//! with the next import, nor what was changed here be overwritten by it.
//!
//! A line per imported credential, the last one counts. It is written after the
//! record: after a crash in between the record equals Keystone's, and counts as
//! unchanged.

use std::{
    collections::HashMap,
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What is known of a credential that was imported.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its record in the store.
    pub record: String,
    /// The fingerprint of the record as the import left it; none if it was not the
    /// import's from the start.
    pub state: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Line {
    /// Keystone's id.
    id: String,
    #[serde(flatten)]
    entry: Entry,
}

/// The journal of a store, which no other import uses meanwhile.
#[derive(Debug)]
pub struct Journal {
    file: File,
    entries: HashMap<String, Entry>,
}

/// The file of a store and where its journal is: beside it, if the store is a file.
pub fn beside(url: Option<&str>, default: &Path) -> Option<(Option<PathBuf>, PathBuf)> {
    let store = match url {
        None => default.to_owned(),
        Some(url) => url.strip_prefix("sqlite:").filter(|path| !path.is_empty())?.into(),
    };
    let mut journal = store.clone().into_os_string();
    journal.push(".imported");
    Some((Some(store), journal.into()))
}

/// Begins a journal, if the store is not there yet. To be called before that is opened.
pub fn begin(store: &Path, journal: &Path) -> Result<(), Box<dyn Error>> {
    let is_new = match fs::metadata(store) {
        Ok(found) => found.len() == 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(about(store, &error)),
    };
    if !is_new {
        return Ok(());
    }
    let began = create(journal).and_then(|file| {
        file.set_len(0)?;
        file.sync_all()?;
        sync_folder(journal)
    });
    began.map_err(|error| about(journal, &error))
}

impl Journal {
    /// Opens the journal; with `again`, also if there is none.
    pub fn open(path: &Path, again: bool) -> Result<Self, Box<dyn Error>> {
        if !again && !path.try_exists().map_err(|error| about(path, &error))? {
            return Err(format!(
                "{} is missing, which tells what was imported before. Without it nobody knows \
                 which keys were deleted here since, and all that Keystone still has would come \
                 back. Put it back, or say --again if that is what you want",
                path.display()
            )
            .into());
        }
        Self::read(path).map_err(|error| about(path, &*error))
    }

    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let file = create(path)?;
        file.try_lock().map_err(|_| "another import is under way")?;
        let text = fs::read_to_string(path)?;
        // The last line may have broken off.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut entries = HashMap::new();
        for (number, line) in whole.lines().enumerate() {
            let Ok(Line { id, entry }) = serde_json::from_str(line) else {
                return Err(format!("line {} is none of a journal", number + 1).into());
            };
            entries.insert(id, entry);
        }
        let mut this = Self { file, entries };
        if text.len() != whole.len() || whole.lines().count() != this.entries.len() {
            this.rewrite(path)?;
        }
        sync_folder(path)?;
        Ok(this)
    }

    /// Writes a file with nothing in it that does not count, and puts it in place.
    fn rewrite(&mut self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let file = create(Path::new(&new))?;
        file.try_lock().map_err(|_| "another import is under way")?;
        file.set_len(0)?;
        let mut entries: Vec<_> = self.entries.clone().into_iter().collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        append(&file, entries)?;
        fs::rename(&new, path)?;
        self.file = file;
        Ok(())
    }

    /// What is known of the credential with this id in Keystone.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Writes down what was imported, for good when it returns.
    pub fn note(&mut self, imported: Vec<(String, Entry)>) -> io::Result<()> {
        if imported.is_empty() {
            return Ok(());
        }
        append(&self.file, imported.clone())?;
        self.entries.extend(imported);
        Ok(())
    }
}

fn append(mut file: &File, entries: Vec<(String, Entry)>) -> io::Result<()> {
    let mut text = Vec::new();
    for (id, entry) in entries {
        serde_json::to_writer(&mut text, &Line { id, entry })?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()
}

/// Opens a file for appending that only its owner may read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a new name in a folder survive a crash.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix)
        && let Some(folder) = std::path::absolute(path)?.parent()
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn about(path: &Path, error: &(impl std::fmt::Display + ?Sized)) -> Box<dyn Error> {
    format!("{}: {error}", path.display()).into()
}
