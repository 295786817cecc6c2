//! A small file system, to fill.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::installed::has;

/// A file system in memory. Dropping it unmounts it.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts a disk of this size, such as `64k`. `None` if that needs rights that the test does not
    /// have; then the test is skipped.
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        has("the right to mount a small disk", &mut mount).then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives the disk another size.
    pub fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(self.path());
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
