//! Keys in the file of a key ring.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use age::secrecy::{ExposeSecret, SecretString};
use tower_credentials::backend::encrypted::{KeyErrorKind, KeyRing};

use crate::{
    files,
    outcome::{Exit, Failure, Outcome},
};

pub(crate) fn run(file: &Path, id: &str, standby: bool) -> Result<Outcome, Failure> {
    // Where a link leads, so that it stays one.
    let real = &*fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // Until this ends: of two at once, the other reads what this one wrote.
    let _turn = turn(real)?;
    let mut lines = lines(real)?;
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
    replace(real, &lines)?;
    let ring = KeyRing::from_file(real).map_err(|error| Failure::of(Exit::Problem, &error))?;
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
fn lines(file: &Path) -> Result<Vec<SecretString>, Failure> {
    if let Err(error) = fs::metadata(file)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(Vec::new());
    }
    // Read once as a ring, so that nothing is made of a file that is none.
    KeyRing::from_file(file).map_err(|error| Failure::of(Exit::Problem, &error))?;
    let text = SecretString::from(fs::read_to_string(file)?);
    let lines = text.expose_secret().split(['\n', ';']);
    Ok(lines.filter(|line| !line.trim().is_empty()).map(SecretString::from).collect())
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
fn replace(file: &Path, lines: &[SecretString]) -> Result<(), Failure> {
    let mut new = files::beside(file)?;
    for line in lines {
        writeln!(new, "{}", line.expose_secret())?;
    }
    keep_owner(file, new.path())?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| Failure::from(error.error))?;
    files::sync_folder(file)
}
