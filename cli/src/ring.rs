//! The command `ring`: adds keys to the file of a key ring.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{
    files,
    report::{Exit, Failure, Report},
};
use age::secrecy::{ExposeSecret, SecretString};
use tower_credentials::{
    backend::encrypted::{KeyErrorKind, KeyRing},
    secret_files::SecretFiles,
};
use zeroize::Zeroizing;

pub(crate) fn run(
    file: &Path,
    id: &str,
    standby: bool,
    secret_files: SecretFiles,
) -> Result<Report, Failure> {
    // A symbolic link stays one: the file that it points to is replaced.
    let real = &*fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // Locked until the end: a second process reads what this one wrote.
    let _lock = lock_folder(real)?;
    let mut lines = read_lines(real, secret_files)?;
    let place = lines.iter().position(|line| is_key(line.expose_secret(), Some(id)));
    let line = match place {
        Some(_) if standby => {
            let message = format!("{} already contains the key {id}", file.display());
            return Err(Failure::new(Exit::Conflict, message));
        }
        Some(place) => lines.remove(place),
        None => new_key(id)?,
    };
    let newest = lines.iter().rposition(|line| is_key(line.expose_secret(), None));
    match newest.filter(|_| standby) {
        Some(newest) => lines.insert(newest, line),
        None => lines.push(line),
    }
    let lines: Vec<_> = lines.iter().map(ExposeSecret::expose_secret).collect();
    let text = Zeroizing::new(lines.join("\n") + "\n");
    let ring = parse(real, &text)?;
    files::replace(real, &text)?;
    let ids: Vec<_> = ring.ids().map(ToOwned::to_owned).collect();
    Ok(Report::default()
        .with("key_ring", file.display().to_string())
        .with("new", place.is_none())
        .with("newest", ids.last().cloned())
        .with("keys", ids))
}

/// Waits until no other process changes a ring in the same folder.
///
/// Locks the folder, because each change replaces the file.
fn lock_folder(file: &Path) -> Result<File, Failure> {
    let folder = files::folder_of(file);
    let locked = File::open(folder).and_then(|opened| opened.lock().map(|()| opened));
    locked.map_err(|error| {
        let message = format!("cannot lock the folder {}: {error}", folder.display());
        Failure::new(Exit::Problem, message)
    })
}

/// Reads the lines of a ring; none if the file does not exist.
fn read_lines(file: &Path, files: SecretFiles) -> Result<Vec<SecretString>, Failure> {
    if let Err(error) = fs::metadata(file)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(Vec::new());
    }
    // The ring of a server belongs to the server's user; root may change it.
    let text = files.read_any_owner(file).map_err(|error| Failure::of(Exit::Problem, &error))?;
    let text = text.expose();
    // Rejects a file that is not a key ring.
    parse(file, text)?;
    let lines = text.split(['\n', ';']);
    Ok(lines.filter(|line| !line.trim().is_empty()).map(SecretString::from).collect())
}

fn parse(file: &Path, text: &str) -> Result<KeyRing, Failure> {
    KeyRing::parse(text)
        .map_err(|error| Failure::of(Exit::Problem, &error).context(&file.display().to_string()))
}

/// Whether a line is a key, and has this id if one is given.
fn is_key(line: &str, id: Option<&str>) -> bool {
    let known = line.split_once('=').map(|(id, _)| id.trim());
    !line.trim_start().starts_with('#') && known.is_some() && id.is_none_or(|id| known == Some(id))
}

fn new_key(id: &str) -> Result<SecretString, Failure> {
    let line = KeyRing::generate_key(id).map_err(|error| {
        let exit = if error.kind() == KeyErrorKind::Invalid { Exit::Usage } else { Exit::Problem };
        Failure::of(exit, &error)
    })?;
    Ok(SecretString::from(line.expose().to_owned()))
}
