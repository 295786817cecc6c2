//! Examples as processes: finding them, and waiting for what they do.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, SystemTime},
};

/// How long anything may take that is waited for, before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Turns to wait for something, until patience is out.
pub(crate) struct Waiting(Duration);

impl Waiting {
    pub(crate) const STEP: Duration = Duration::from_millis(10);

    pub(crate) fn new() -> Self {
        Self(PATIENCE)
    }
}

impl Iterator for Waiting {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(Self::STEP)?;
        Some(())
    }
}

/// The example of this name that belongs to this test's build.
///
/// `cargo test` builds it before any test runs; `cargo test --test NAME` does not, so
/// it is built here when it is missing or older than its sources.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "examples/common", &format!("examples/{name}")];
    let newest = sources.iter().filter_map(|folder| changed(&root.join(folder))).max();
    if changed(&binary) < newest || !binary.exists() {
        let folder = profile.file_name().unwrap();
        let folder = if folder == "debug" { "dev".as_ref() } else { folder };
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).args(["build", "--quiet", "--example", name]);
        cargo.arg("--profile").arg(folder).arg("--target-dir").arg(profile.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "{name} does not build");
    }
    binary
}

/// Waits until a server that was just started listens, and has printed the lines to
/// paste; where it listens.
pub(crate) async fn listening(server: &mut Child, stdout: &Path, stderr: &Path) -> String {
    let logged = || String::from_utf8_lossy(&fs::read(stderr).unwrap()).into_owned();
    for () in Waiting::new() {
        let printed = fs::read_to_string(stdout).unwrap();
        if let Some(rest) = printed.strip_prefix("Listening on ")
            && printed.ends_with("\n\n")
        {
            let url = rest.split_whitespace().next().unwrap();
            return url.trim_end_matches(['.', ',']).to_owned();
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {ended:?}\n{}", logged());
        tokio::time::sleep(Waiting::STEP).await;
    }
    panic!("the server does not listen:\n{}", logged());
}

/// When a file, or the newest in a folder, was changed.
fn changed(path: &Path) -> Option<SystemTime> {
    match fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| changed(&entry.unwrap().path())).max(),
        Err(_) => fs::metadata(path).ok()?.modified().ok(),
    }
}
