//! A file that other users may read.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
};

use tower_credentials::backend::sqlite::SqliteBackend;
use tracing_subscriber::fmt::MakeWriter;

use super::folder;

/// The captured log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The warnings while a file is opened.
fn warnings(path: &Path) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .finish();
    tracing::subscriber::with_default(subscriber, || SqliteBackend::open(path).unwrap());
    let text = log.0.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn file_that_others_may_read_is_logged_once_and_unchanged() {
    let (_folder, path) = folder();
    assert_eq!(warnings(&path), "", "a new file");
    for (mode, is_logged) in [(0o600, false), (0o640, true), (0o604, true), (0o622, false)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let text = warnings(&path);
        assert_eq!(text.lines().count(), usize::from(is_logged), "{mode:o}: {text}");
        assert_eq!(text.contains(path.to_str().unwrap()), is_logged, "{mode:o}: {text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
    }
}
