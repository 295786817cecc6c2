//! The synced audit file of a server.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tower_credentials::audit::file::{AuditKey, ChainHead, ChainReport, verify};

use crate::secret_file;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An audit file in a folder.
#[derive(Debug)]
pub struct AuditFile(PathBuf);

impl AuditFile {
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("audit.log"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the key beside the file. Returns the options of a server that has this file.
    pub fn options(&self) -> Vec<String> {
        let key = self.0.with_extension("key");
        secret_file::write(&key, KEY);
        let [key, file] = [&key, &self.0].map(|path| path.to_str().unwrap());
        ["--audit-key", key, "--audit-file", file, "--audit-synced"].map(str::to_owned).into()
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks the chain, and whether it has these heads.
    pub fn verify(&self, heads: &[ChainHead]) -> ChainReport {
        let file = BufReader::new(File::open(&self.0).unwrap());
        verify([file], &AuditKey::new(KEY.as_bytes()).unwrap(), None, heads).unwrap()
    }
}
