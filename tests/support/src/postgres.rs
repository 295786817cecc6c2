//! PostgreSQL servers that tests start on loopback, each in a temporary folder.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{
        fs::chown,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;
use tokio::{sync::OnceCell, time::Instant};
use tokio_postgres::{Client, NoTls};

use crate::installed;

/// The user that the tests log in as, and its password.
pub const USER: &str = "keeper";
pub const PASSWORD: &str = "open-sesame-5432";

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_mins(3);

/// A server. Stopped, and its folder removed, when dropped or when the process ends.
#[derive(Debug)]
pub struct Server {
    port: u16,
    child: Option<Child>,
    folder: TempDir,
    /// The watchdog waits until this is closed, at the latest when the process ends.
    _watched: ChildStdin,
    watchdog: Child,
}

impl Server {
    /// Starts a new server with these settings; `None` if PostgreSQL is not installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_in(settings, |data| {
            let words = data.with_file_name("password");
            fs::write(&words, PASSWORD).unwrap();
            let mut initdb = program("initdb");
            initdb.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
            initdb.args(["--no-sync", "--pwfile"]).arg(words).arg("-D").arg(data);
            run(&mut initdb);
        })
    }

    /// Starts a standby of this server.
    pub fn standby(&self, name: &str, settings: &[&str]) -> Self {
        let copied = Self::start_in(settings, |data| {
            let mut copy = program("pg_basebackup");
            let primary = format!("{} application_name={name}", self.words());
            copy.args(["-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-d", &primary]);
            run(copy.arg("-D").arg(data));
        });
        copied.expect("PostgreSQL is installed")
    }

    fn start_in(settings: &[&str], fill: impl FnOnce(&Path)) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        if let Some(account) = account() {
            chown(folder.path(), Some(account.0), Some(account.1)).unwrap();
        }
        let data = folder.path().join("data");
        fill(&data);
        let mut lines = String::from(
            "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n\
             shared_buffers = 64MB\nmax_connections = 200\n\
             log_line_prefix = '%d: '\n",
        );
        for setting in settings {
            lines.push_str(setting);
            lines.push('\n');
        }
        let path = data.join("postgresql.conf");
        let text = fs::read_to_string(&path).unwrap() + &lines;
        fs::write(&path, text).unwrap();

        // Ends the server even if this process is killed, and no other server.
        let script = "cat >/dev/null; pid=$(head -1 \"$0/data/postmaster.pid\" 2>/dev/null) \
            && grep -q \"$0\" \"/proc/$pid/cmdline\" && kill -QUIT \"$pid\" && sleep 0.5; \
            rm -rf \"$0\"";
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", script]).arg(folder.path()).stdin(Stdio::piped());
        let mut watchdog = watchdog.process_group(0).spawn().unwrap();
        let watched = watchdog.stdin.take().unwrap();
        let port = free_port();
        let mut server = Self { port, child: None, folder, _watched: watched, watchdog };
        server.restart();
        Some(server)
    }

    /// Starts the server again, on the same port.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let mut postgres = program("postgres");
        postgres.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        postgres.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(postgres.process_group(0).spawn().unwrap());
    }

    /// Waits until the server accepts connections.
    fn wait(&mut self) {
        let started = Instant::now();
        loop {
            let mut ready = program("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().unwrap().success() {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let late = started.elapsed() > START_TIMEOUT;
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            // On a busy machine, processes of a killed server end later than the server.
            let last = said.lines().rev().take(2).collect::<String>();
            let is_early = ended.is_some() && last.contains("pre-existing shared memory block");
            assert!(!late && (ended.is_none() || is_early), "no server: {said}");
            sleep(Duration::from_millis(50));
            if is_early {
                self.spawn();
            }
        }
    }

    /// Kills all processes of the server. Its memory is lost, but not what it wrote to files.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        // While suspended, it starts no other processes and does not see them end.
        signal("STOP", child.id());
        let others = children(child.id());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        for pid in others {
            signal("KILL", pid);
        }
    }

    /// Shuts the server down, which terminates its sessions.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        signal("INT", child.id());
        child.wait().unwrap();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        let mut promote = program("pg_ctl");
        run(promote.args(["promote", "-w", "-D"]).arg(self.data()));
    }

    /// Turns a killed primary into a standby of the server that replaced it. It must be restarted
    /// afterwards, and must have the setting `wal_log_hints` and keep its log.
    pub async fn rewind(&self, primary: &Self, name: &str) {
        // `pg_rewind` uses the last checkpoint.
        connect(&primary.url("postgres")).await.batch_execute("CHECKPOINT").await.unwrap();
        let mut rewind = program("pg_rewind");
        rewind.args(["-R", "--no-sync", "--target-pgdata"]).arg(self.data());
        let source = format!("{} dbname=postgres application_name={name}", primary.words());
        run(rewind.args(["--source-server", &source]));
    }

    /// Makes commits wait for the standby of this name, which must be running.
    pub async fn commit_with(&self, name: &str) {
        let client = connect(&self.url("postgres")).await;
        let wait = format!("ALTER SYSTEM SET synchronous_standby_names = '\"{name}\"'");
        client.batch_execute(&wait).await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let follows = "SELECT count(*) > 0 FROM pg_stat_replication
            WHERE application_name = $1 AND sync_state = 'sync' AND state = 'streaming'";
        let following = async {
            while !client.query_one(follows, &[&name]).await.unwrap().get::<_, bool>(0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, following).await.expect("the standby follows");
    }

    /// Makes commits wait for no standby.
    pub async fn commit_alone(&self) {
        let client = connect(&self.url("postgres")).await;
        let alone = "ALTER SYSTEM RESET synchronous_standby_names";
        client.batch_execute(alone).await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// Suspends or resumes all processes of the server.
    pub fn pause(&self, paused: bool) {
        let name = if paused { "STOP" } else { "CONT" };
        let pid = self.child.as_ref().unwrap().id();
        for pid in [pid].into_iter().chain(children(pid)) {
            signal(name, pid);
        }
    }

    /// Changes a setting, which takes effect at the next start.
    pub fn set(&self, line: &str) {
        let file = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}{line}\n")).unwrap();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Counts the lines of the log with this beginning. Each line starts with a database name.
    pub fn said(&self, beginning: &str) -> usize {
        let log = fs::read_to_string(self.log()).unwrap();
        log.lines().filter(|line| line.starts_with(beginning)).count()
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    fn words(&self) -> String {
        format!("host=127.0.0.1 port={} user={USER} password={PASSWORD}", self.port)
    }

    /// The URL of a new, empty database.
    pub async fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("keys_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = connect(&self.url("postgres")).await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        self.url(&name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal("CONT", child.id());
            signal("QUIT", child.id());
            let _ = child.wait();
        }
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// The server that the tests of this process share; `None` if PostgreSQL is not installed.
pub fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&["fsync = off"])).as_ref()
}

/// The URL of a new, empty database for a test that does not change the server: on the server of
/// `TOWER_CREDENTIALS_POSTGRES_URL`, or on the shared one. `None` if there is neither.
pub async fn database() -> Option<String> {
    match env::var("TOWER_CREDENTIALS_POSTGRES_URL") {
        Ok(url) => Some(database_on(&url).await),
        Err(_) => Some(shared()?.database().await),
    }
}

/// Creates a database on the server of this URL, and drops those of earlier runs.
async fn database_on(url: &str) -> String {
    const NAMES: &str = "tower_credentials_test_";
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static SWEPT: OnceCell<()> = OnceCell::const_new();
    let client = connect(url).await;
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let sweep = async || {
        let sql = "SELECT datname FROM pg_database WHERE datname LIKE $1";
        for row in client.query(sql, &[&format!("{NAMES}%")]).await.unwrap() {
            let name: &str = row.get(0);
            let made_at = name[NAMES.len()..].split('_').next().and_then(|it| it.parse().ok());
            if made_at.is_some_and(|at: u64| at + 2 * 60 * 60 < now) {
                // Other processes may do the same.
                let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await;
            }
        }
    };
    SWEPT.get_or_init(sweep).await;
    let (count, process) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
    let name = format!("{NAMES}{now}_{process}_{count}");
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    renamed(url, &name)
}

/// The URL with another database. It always has a query, to which a test may add.
fn renamed(url: &str, database: &str) -> String {
    let (rest, query) = url.split_once('?').unwrap_or((url, "sslmode=prefer"));
    let (scheme, rest) = rest.split_once("://").expect("a URL");
    let authority = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{authority}/{database}?{query}")
}

/// A bare client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn is_installed() -> bool {
    installed::has("PostgreSQL server", program("postgres").arg("--version"))
}

/// A program of the newest installed PostgreSQL, run as a user that may run it.
pub fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<_> = folders.filter(|folder| folder.join(name).exists()).collect();
    found.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    let elsewhere = || env::split_paths(&path).find(|folder| folder.join(name).exists());
    let folder = found.pop().or_else(elsewhere).unwrap_or_default();
    let mut command = Command::new(folder.join(name));
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    // A folder that every user may enter.
    command.current_dir("/");
    command
}

/// The account to use instead of root, which may not run a server.
fn account() -> Option<(u32, u32)> {
    let probe = tempfile::tempdir().unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(probe.path()).unwrap());
    if owner != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn signal(name: &str, pid: u32) {
    // The shell's built-in: a minimal machine has no program `kill`.
    let command = format!("kill -{name} {pid}");
    Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status().unwrap();
}

/// The child processes of a server.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes a file accessible only to the account that runs the servers.
pub fn give_to_server(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((user, group)) = account() {
        chown(file, Some(user), Some(group)).unwrap();
    }
}

/// Terminates the sessions of an application on this database.
pub async fn end_sessions(client: &Client, application: &str) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = $1 AND datname = current_database()";
    client.execute(sql, &[&application]).await.unwrap();
}

/// How many sessions an application has on this database.
pub async fn sessions(client: &Client, application: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = $1 AND datname = current_database()";
    client.query_one(sql, &[&application]).await.unwrap().get(0)
}

/// Waits until some session of this database waits for a lock.
pub async fn until_blocked(client: &Client) {
    let blocked = async {
        while !is_waiting(client, "Lock").await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(START_TIMEOUT, blocked).await.expect("a session waits for a lock");
}

/// Whether some session of this database waits for this event, or for one of this type.
pub async fn is_waiting(client: &Client, event: &str) -> bool {
    let sql = "SELECT count(*) > 0 FROM pg_stat_activity
        WHERE datname = current_database() AND $1 IN (wait_event, wait_event_type)";
    client.query_one(sql, &[&event]).await.unwrap().get(0)
}
