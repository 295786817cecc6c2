//! Starts, stops and kills a server.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{http::Client, waiting::Waiting};

/// A server program of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The path of the binary, as in `env!("CARGO_BIN_EXE_accesser")`.
    pub path: &'static str,
    /// Whether the program takes `--data FOLDER`.
    pub keeps_data: bool,
}

impl Program {
    /// The program of another package of the workspace, from the same build.
    ///
    /// # Panics
    ///
    /// If it was not built: `cargo test --workspace` builds all programs, `cargo test -p` only one.
    pub fn of_workspace(name: &str, keeps_data: bool) -> Self {
        let test = env::current_exe().unwrap();
        let path = test.parent().and_then(Path::parent).unwrap().join(name);
        assert!(path.exists(), "{} is missing: run `cargo build -p {name}`", path.display());
        let path = path.into_os_string().into_string().unwrap();
        Self { path: String::leak(path), keeps_data }
    }
}

/// A configuration of a server, with a free port and a temporary data folder.
pub struct Server {
    program: Program,
    home: Arc<TempDir>,
    data: PathBuf,
    arguments: Vec<String>,
    wrapper: Vec<String>,
    log: Option<String>,
    environment: Vec<(String, String)>,
}

/// A running server. Dropping it kills the process.
pub struct Running {
    process: Child,
    pub url: String,
    stdout: PathBuf,
    stderr: PathBuf,
    #[expect(dead_code, reason = "keeps the folder from being deleted")]
    home: Arc<TempDir>,
}

impl Server {
    pub fn new(program: Program) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let data = home.path().join("data");
        let (arguments, wrapper, environment) = (Vec::new(), Vec::new(), Vec::new());
        Self { program, home, data, arguments, wrapper, log: None, environment }
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Sets the data folder.
    pub fn data_in(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// Sets a command that runs the server. It must replace itself by the server.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets `RUST_LOG`.
    pub fn log(mut self, filter: &str) -> Self {
        self.log = Some(filter.to_owned());
        self
    }

    /// Sets another environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A folder beside the data.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn database(&self) -> PathBuf {
        self.data.join("credentials.db")
    }

    /// Starts the server, and waits until it listens.
    pub async fn start(&self) -> Running {
        self.spawn("127.0.0.1:0").listening().await
    }

    /// Starts a server that must not start; returns its status and stderr.
    pub async fn refuse(&self, listen: &str) -> (ExitStatus, String) {
        let mut running = self.spawn(listen);
        let status = running.ended().await;
        (status, running.stderr())
    }

    /// Starts a server that must fail; returns the line with the error.
    pub async fn error(&self) -> String {
        let (status, stderr) = self.refuse("127.0.0.1:0").await;
        assert_eq!(status.code(), Some(1), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: "), "{stderr}");
        last.to_owned()
    }

    fn spawn(&self, listen: &str) -> Running {
        let mut words =
            self.wrapper.iter().map(AsRef::as_ref).chain([OsStr::new(self.program.path)]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--listen", listen]);
        if self.program.keeps_data {
            command.arg("--data").arg(&self.data);
        }
        command.args(&self.arguments).env_remove("RUST_LOG");
        command.envs(self.log.iter().map(|filter| ("RUST_LOG", filter)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Running::spawn(command, &self.home)
    }
}

impl Running {
    /// Runs a command, with stdout and stderr in files of this folder.
    pub fn spawn(mut command: Command, home: &Arc<TempDir>) -> Self {
        // Several processes may share the folder.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = |name: &str| home.path().join(format!("{name}-{count}"));
        let (stdout, stderr) = (log("stdout"), log("stderr"));
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { process, url: String::new(), stdout, stderr, home: Arc::clone(home) }
    }

    /// Waits until the server listens and has printed its commands.
    pub async fn listening(mut self) -> Self {
        for () in Waiting::start() {
            let printed = self.stdout();
            if let Some(rest) = printed.strip_prefix("Listening on ")
                && printed.ends_with("\n\n")
            {
                let url = rest.split_whitespace().next().unwrap();
                url.trim_end_matches(['.', ',']).clone_into(&mut self.url);
                return self;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", self.stderr());
            sleep(Waiting::STEP).await;
        }
        panic!("the server does not listen:\n{}", self.stderr());
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub fn host(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The content of stdout.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// The file with stderr.
    pub fn log(&self) -> &Path {
        &self.stderr
    }

    /// The content of stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until the text was logged this many times.
    pub async fn logged(&self, text: &str, times: usize) {
        for () in Waiting::start() {
            if self.stderr().matches(text).count() >= times {
                return;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("{text:?} is not logged {times} times:\n{}", self.stderr());
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits until the process ends.
    pub async fn ended(&mut self) -> ExitStatus {
        for () in Waiting::start() {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            sleep(Waiting::STEP).await;
        }
        panic!("the server does not end:\n{}", self.stderr());
    }

    /// Stops the server with SIGTERM, and checks that it succeeds.
    pub async fn stop(&mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.stderr());
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
