//! The Keystone that all tests share.

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use http::Method;
use serde_json::json;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{
    http::Client,
    people::{Admin, password, system},
    secret_file,
};

/// The service user of the front.
pub(crate) const SERVICE_USER: &str = "front";
pub(crate) const SERVICE_PROJECT: &str = "service";

/// A Keystone for this run, on loopback.
pub(crate) struct Lab {
    pub(crate) url: String,
    pub(crate) admin_password: String,
    pub(crate) service_password: PathBuf,
    home: PathBuf,
    rotations: AtomicUsize,
    turns: RwLock<()>,
    #[expect(dead_code, reason = "the guard ends when its pipe is closed")]
    guard: Child,
}

/// A test's use of the Keystone: shared or exclusive.
pub(crate) struct Turn {
    pub(crate) lab: &'static Lab,
    #[expect(dead_code, reason = "held while the test runs")]
    held: Held,
}

#[expect(dead_code, reason = "held while the test runs")]
enum Held {
    Alone(RwLockWriteGuard<'static, ()>),
    Shared(RwLockReadGuard<'static, ()>),
}

/// The Keystone, for tests that do not disturb others.
pub(crate) async fn shared() -> Option<Turn> {
    let lab = lab().await?;
    Some(Turn { lab, held: Held::Shared(lab.turns.read().await) })
}

/// The Keystone, for tests that stop it.
pub(crate) async fn alone() -> Option<Turn> {
    let lab = lab().await?;
    Some(Turn { lab, held: Held::Alone(lab.turns.write().await) })
}

async fn lab() -> Option<&'static Lab> {
    static LAB: OnceCell<Lab> = OnceCell::const_new();
    let without = env::var_os("WITHOUT_KEYSTONE").is_some_and(|value| !value.is_empty());
    if without || !venv().join("bin/keystone-manage").exists() {
        let required = env::var("REQUIRE_LIVE_BACKENDS").is_ok_and(|value| value == "1");
        assert!(without || !required, "Keystone is not installed: run scripts/keystone install");
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        // Not `eprintln!`, which is captured when the test passes.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {test}: no Keystone (scripts/keystone)");
        return None;
    }
    Some(LAB.get_or_init(Lab::start).await)
}

/// Where Keystone and its clients are installed.
pub(crate) fn venv() -> PathBuf {
    let output = script(&["venv".as_ref()]).output().unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

fn script(arguments: &[&Path]) -> Command {
    let mut command = Command::new(root().join("scripts/keystone"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

impl Lab {
    async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("keystone-").tempdir().unwrap().keep();
        let guard = guard(&home);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let admin_password = {
            let (home, port) = (home.clone(), PathBuf::from(port.to_string()));
            tokio::task::spawn_blocking(move || {
                run(&["start".as_ref(), &home, &port]);
                fs::read_to_string(home.join("password")).unwrap().trim_end().to_owned()
            })
        };
        let admin_password = admin_password.await.unwrap();
        let service_password = home.join("service-password");
        let (rotations, turns) = (AtomicUsize::new(0), RwLock::new(()));
        let lab = Self { url, admin_password, service_password, home, rotations, turns, guard };
        lab.make_service_user().await;
        lab
    }

    async fn make_service_user(&self) {
        let admin = self.admin().await;
        let secret = password();
        secret_file::write(&self.service_password, &secret);
        let project = json!({"project": {"name": SERVICE_PROJECT, "domain_id": "default"}});
        let project = admin.make("/v3/projects", &project, "/project/id").await;
        let user = json!({"user": {"name": SERVICE_USER, "password": secret}});
        let user = admin.make("/v3/users", &user, "/user/id").await;
        admin.grant(&format!("projects/{project}"), &user, "admin").await;
    }

    /// An admin with a system scope.
    pub(crate) async fn admin(&self) -> Admin {
        Admin::login(&self.url, &self.admin_password, &system()).await
    }

    /// Kills Keystone.
    pub(crate) async fn kill(&self) {
        self.run("kill").await;
    }

    pub(crate) async fn start_again(&self) {
        self.run("start").await;
    }

    /// Invalidates all tokens: rotates both Fernet keys, and clears the cache.
    pub(crate) async fn invalidate_tokens(&self) {
        self.run("rotate").await;
        self.run("rotate").await;
        self.run("restart").await;
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    /// How often all tokens were invalidated.
    pub(crate) fn rotations(&self) -> usize {
        self.rotations.load(Ordering::Relaxed)
    }

    async fn run(&self, what: &'static str) {
        let home = self.home.clone();
        let running = tokio::task::spawn_blocking(move || run(&[what.as_ref(), &home]));
        running.await.unwrap();
    }

    /// Whether Keystone responds.
    pub(crate) async fn answers(&self) -> bool {
        Client::new(&self.url).try_call(Method::GET, "/v3", "", None).await.is_ok()
    }
}

fn run(arguments: &[&Path]) {
    let output = script(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/keystone {arguments:?}: {stderr}");
}

/// Starts a process that stops the Keystone and deletes its folder when this process ends, which
/// closes the pipe.
fn guard(home: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' INT TERM HUP; cat; "$1" kill "$2"; rm -rf "$2""#, "guard"]);
    command.arg(root().join("scripts/keystone")).arg(home).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}
