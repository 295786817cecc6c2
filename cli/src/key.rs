//! Keys in the file of a key ring.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::{
    files,
    outcome::{Exit, Failure, Outcome},
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
) -> Result<Outcome, Failure> {
    // Where a link leads, so that it stays one.
    let real = &*fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // Until this ends: of two at once, the other reads what this one wrote.
    let _turn = turn(real)?;
    let mut lines = lines(real, secret_files)?;
    let place = lines.iter().position(|line| is_key(line.expose_secret(), Some(id)));
    let line = match place {
        Some(_) if standby => {
            let what = format!("{} has the key {id} already", file.display());
            return Err(Failure::new(Exit::Conflict, what));
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
    replace(real, &text)?;
    let ids: Vec<_> = ring.ids().map(ToOwned::to_owned).collect();
    Ok(Outcome::default()
        .with("key_ring", file.display().to_string())
        .with("new", place.is_none())
        .with("newest", ids.last().cloned())
        .with("keys", ids))
}

/// Waits until nobody else changes a ring in the same folder.
///
/// It is the folder that is locked, since the file is another one after each change.
fn turn(file: &Path) -> Result<File, Failure> {
    let folder = files::folder_of(file);
    let locked = File::open(folder).and_then(|opened| opened.lock().map(|()| opened));
    locked.map_err(|error| {
        let what = format!("cannot lock the folder {}: {error}", folder.display());
        Failure::new(Exit::Problem, what)
    })
}

/// The lines of a ring, as they are; none if there is no file.
fn lines(file: &Path, files: SecretFiles) -> Result<Vec<SecretString>, Failure> {
    if let Err(error) = fs::metadata(file)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(Vec::new());
    }
    // A server's ring is the server's, also when root changes it.
    let text = files.read_any_owner(file).map_err(|error| Failure::of(Exit::Problem, &error))?;
    // So that nothing is made of a file that is no ring.
    let text = text.expose();
    parse(file, text)?;
    let lines = text.split(['\n', ';']);
    Ok(lines.filter(|line| !line.trim().is_empty()).map(SecretString::from).collect())
}

fn parse(file: &Path, text: &str) -> Result<KeyRing, Failure> {
    KeyRing::parse(text)
        .map_err(|error| Failure::of(Exit::Problem, &error).when(&file.display().to_string()))
}

/// Whether a line is a key, of this id if one is given.
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

/// Gives a file to whoever has the one whose place it takes: a server may have to read it.
fn keep_owner(old: &Path, new: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{MetadataExt as _, chown};

    let Ok(old) = fs::metadata(old) else { return Ok(()) };
    let made = fs::metadata(new)?;
    if (old.uid(), old.gid()) == (made.uid(), made.gid()) {
        return Ok(());
    }
    chown(new, Some(old.uid()), Some(old.gid())).map_err(|error| {
        let what = format!("the ring is another user's, and cannot be left to them: {error}");
        Failure::new(Exit::Problem, what)
    })
}

/// Puts a file in the place of another one, of its owner only, as a whole.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let mut new = files::beside(file)?;
    new.write_all(text.as_bytes())?;
    keep_owner(file, new.path())?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| Failure::from(error.error))?;
    files::sync_folder(file)
}
