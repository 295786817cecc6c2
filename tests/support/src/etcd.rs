//! Clusters of etcd that the tests start themselves, on free ports of this machine.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installed;

/// How long a cluster may take until it has a leader.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The same when a million records are looked at.
const SHRUNK: Duration = Duration::from_mins(15);

/// Runs a program until it ends or nobody holds the other end of the standard input any
/// more, so that nothing outlives the tests, however they end. Tells its process id.
const GUARD: &str = r#""$@" </dev/null & echo $!; cat >/dev/null
kill -9 $! 2>/dev/null; wait; test -z "$REMOVE" || rm -rf "$REMOVE""#;

/// Whether there is an etcd to start; says so on stderr if not.
pub fn is_installed() -> bool {
    installed::has("etcd", Command::new("etcd").arg("--version"))
}

/// The URL of a cluster that all tests of this program share: that of
/// `TOWER_CREDENTIALS_ETCD_URL`, or one of three members that ends with the program.
fn shared() -> Option<String> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    if let Ok(url) = env::var("TOWER_CREDENTIALS_ETCD_URL") {
        return Some(url);
    }
    let start = || {
        is_installed().then(|| {
            let folder = tempfile::tempdir().unwrap().keep();
            Cluster::start_in(&folder, 3, &[], &|_, port| port, Some(&folder))
        })
    };
    SHARED.get_or_init(start).as_ref().map(Cluster::url)
}

/// The URL of a place in that cluster where nothing lies yet. What is written there stays,
/// below `tower-credentials-test/`.
pub fn place(name: &str) -> Option<String> {
    let url = shared()?;
    let (cluster, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let cluster = cluster.trim_end_matches('/');
    let random = rand::random::<u64>();
    Some(format!("{cluster}/tower-credentials-test/{name}-{random:x}{query}"))
}

/// Members on this machine, which end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// That of its URL.
    scheme: &'static str,
    members: Vec<Member>,
    // Removed when the members have ended: after them.
    #[allow(dead_code, reason = "dropping it removes the folder")]
    folder: Option<TempDir>,
}

#[derive(Debug)]
struct Member {
    port: u16,
    arguments: Vec<String>,
    remove: Option<PathBuf>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    guard: Child,
    pid: String,
}

impl Cluster {
    /// Starts so many members with these further arguments, and waits for their leader.
    pub fn start(members: usize, arguments: &[&str]) -> Self {
        Self::start_behind(members, arguments, &|_, port| port)
    }

    /// The same, where members reach each other through doors: this is given each of them
    /// with the port on which it listens for the others, and gives the port to call.
    pub fn start_behind(
        members: usize,
        arguments: &[&str],
        doors: &dyn Fn(usize, u16) -> u16,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self::start_in(folder.path(), members, arguments, doors, None);
        cluster.folder = Some(folder);
        cluster
    }

    fn start_in(
        folder: &Path,
        members: usize,
        arguments: &[&str],
        doors: &dyn Fn(usize, u16) -> u16,
        remove: Option<&Path>,
    ) -> Self {
        // Held all at once, so that no port is given twice.
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let held: Vec<_> = (0..2 * members).map(|_| listen()).collect();
        let ports: Vec<_> = held.iter().map(|held| held.local_addr().unwrap().port()).collect();
        let (ports, peers) = ports.split_at(members);
        let doors: Vec<_> = peers.iter().enumerate().map(|(n, peer)| doors(n, *peer)).collect();
        drop(held);
        let scheme = if arguments.contains(&"--cert-file") { "https" } else { "http" };
        let all: Vec<_> = (doors.iter().enumerate())
            .map(|(n, door)| format!("m{n}=http://127.0.0.1:{door}"))
            .collect();
        let member = |(n, (port, peer)): (usize, (&u16, &u16))| {
            let mut own: Vec<String> = Vec::new();
            for (name, value) in [
                ("--name", format!("m{n}")),
                ("--data-dir", folder.join(format!("m{n}")).display().to_string()),
                ("--listen-client-urls", format!("{scheme}://127.0.0.1:{port}")),
                ("--advertise-client-urls", format!("{scheme}://127.0.0.1:{port}")),
                ("--listen-peer-urls", format!("http://127.0.0.1:{peer}")),
                ("--initial-advertise-peer-urls", format!("http://127.0.0.1:{}", doors[n])),
                ("--initial-cluster", all.join(",")),
                ("--heartbeat-interval", "50".into()),
                ("--election-timeout", "500".into()),
                ("--log-level", "error".into()),
            ] {
                own.extend([name.into(), value]);
            }
            own.extend(arguments.iter().map(|argument| (*argument).into()));
            Member { port: *port, arguments: own, remove: remove.map(Into::into), running: None }
        };
        let members = ports.iter().zip(peers).enumerate().map(member).collect();
        let url_scheme = if scheme == "https" { "etcds" } else { "etcd" };
        let mut cluster = Self { scheme: url_scheme, members, folder: None };
        for member in 0..cluster.members.len() {
            cluster.restart(member);
        }
        if scheme == "http" {
            cluster.wait_for_leader();
        }
        cluster
    }

    /// As [`EtcdBackend::connect`](tower_credentials::backend::etcd::EtcdBackend::connect)
    /// takes it.
    pub fn url(&self) -> String {
        self.url_of(&(0..self.members.len()).collect::<Vec<_>>())
    }

    /// The URL of some of its members alone.
    pub fn url_of(&self, members: &[usize]) -> String {
        let host = |member: &usize| format!("127.0.0.1:{}", self.port(*member));
        let hosts: Vec<_> = members.iter().map(host).collect();
        format!("{}://{}", self.scheme, hosts.join(","))
    }

    /// Where a member is called.
    pub fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    /// The process of a member that runs.
    pub fn pid(&self, member: usize) -> &str {
        &self.members[member].running.as_ref().unwrap().pid
    }

    /// Kills a member as `kill -9` does.
    pub fn kill(&mut self, member: usize) {
        if let Some(Running { mut guard, pid }) = self.members[member].running.take() {
            signal("KILL", &pid);
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }

    /// Starts a member that was killed, on what it had on its disk.
    pub fn restart(&mut self, member: usize) {
        let Member { arguments, remove, running, .. } = &mut self.members[member];
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh", "etcd"]).args(arguments).stderr(Stdio::null());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("REMOVE", remove.as_deref().unwrap_or("".as_ref()));
        // Debian's package says so on its other machines.
        command.env("ETCD_UNSUPPORTED_ARCH", env::consts::ARCH.replace("aarch64", "arm64"));
        let mut guard = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        *running = Some(Running { guard, pid: pid.trim().into() });
    }

    /// Stops a member without ending it: its connections stay open, and nothing comes.
    pub fn suspend(&self, member: usize) {
        signal("STOP", self.pid(member));
    }

    /// Lets a member go on.
    pub fn resume(&self, member: usize) {
        signal("CONT", self.pid(member));
    }

    /// Which member leads, as far as those that can be asked say.
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|member| self.is_leader(*member))
    }

    /// Waits until another member leads than this one, which may believe that it does.
    pub fn wait_for_leader_but(&self, member: usize) {
        let leads = |it: &Self| {
            let others = (0..it.members.len()).filter(|other| *other != member);
            others.into_iter().any(|other| it.is_leader(other))
        };
        wait_until(|| leads(self));
    }

    /// Has this member lead.
    pub fn hand_to(&self, member: usize) {
        let leader = self.wait_for_leader();
        if leader == member {
            return;
        }
        let status = self.call(member, "/v3/maintenance/status", &json!({})).unwrap();
        let target = json!({"targetID": status["header"]["member_id"]});
        self.call(leader, "/v3/maintenance/transfer-leadership", &target).unwrap();
        wait_until(|| self.is_leader(member));
    }

    /// How many watches a member has.
    pub fn watches(&self, member: usize) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port(member))).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let mut lines = answer.lines();
        let count = lines.find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
        count.unwrap().parse().unwrap()
    }

    fn is_leader(&self, member: usize) -> bool {
        let status = self.call(member, "/v3/maintenance/status", &json!({}));
        status.is_some_and(|it| it["leader"] == it["header"]["member_id"])
    }

    /// The id of the leader that a member knows of, if of any.
    pub fn led_by(&self, member: usize) -> Option<String> {
        let status = self.call(member, "/v3/maintenance/status", &json!({})).unwrap();
        status["leader"].as_str().filter(|id| *id != "0").map(Into::into)
    }

    /// Waits until there is a leader.
    pub fn wait_for_leader(&self) -> usize {
        let mut leader = None;
        wait_until(|| {
            leader = self.leader();
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Asks a member's gateway; `None` if it does not answer.
    pub fn call(&self, member: usize, path: &str, question: &Value) -> Option<Value> {
        self.call_as("", member, path, question)
    }

    /// The same with a token.
    pub fn call_as(
        &self,
        token: &str,
        member: usize,
        path: &str,
        question: &Value,
    ) -> Option<Value> {
        self.ask(token, member, path, question, ANSWER)
    }

    fn ask(
        &self,
        token: &str,
        member: usize,
        path: &str,
        question: &Value,
        patience: Duration,
    ) -> Option<Value> {
        let port = self.members[member].port;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(patience)).unwrap();
        let body = question.to_string();
        // An answer to HTTP/1.0 comes in one piece and ends the connection.
        let mut head = format!("Content-Length: {}", body.len());
        if !token.is_empty() {
            head = format!("{head}\r\nAuthorization: {token}");
        }
        write!(stream, "POST {path} HTTP/1.0\r\n{head}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let is_ok = head.split(' ').nth(1) == Some("200");
        is_ok.then(|| serde_json::from_str(body.trim()).unwrap())
    }

    /// How much memory a member has, in bytes, but for its file that is mapped.
    pub fn resident_memory(&self, member: usize) -> u64 {
        let pid = self.pid(member);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Has all that was overwritten or deleted forgotten.
    pub fn compact(&self) {
        let status = self.call(0, "/v3/maintenance/status", &json!({})).unwrap();
        let revision = &status["header"]["revision"];
        let question = json!({"revision": revision, "physical": true});
        self.ask("", 0, "/v3/kv/compaction", &question, SHRUNK);
    }

    /// Has a member give back the room that is free in its file.
    pub fn defragment(&self) {
        self.ask("", 0, "/v3/maintenance/defragment", &json!({}), SHRUNK).unwrap();
    }

    /// Writes a key past the store.
    pub fn put(&self, key: &str, value: &str) {
        let put = json!({"key": base64(key), "value": base64(value)});
        self.call(0, "/v3/kv/put", &put).unwrap();
    }

    /// Reads a key past the store.
    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.call(0, "/v3/kv/range", &json!({"key": base64(key)})).unwrap();
        let value = answer["kvs"][0]["value"].as_str()?;
        Some(String::from_utf8(data_encoding::BASE64.decode(value.as_bytes()).unwrap()).unwrap())
    }

    /// Deletes a key past the store.
    pub fn delete(&self, key: &str) {
        self.call(0, "/v3/kv/deleterange", &json!({"key": base64(key)})).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }
}

/// As the gateway takes keys and values.
pub fn base64(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("no leader after {PATIENCE:?}");
}

fn signal(signal: &str, pid: &str) {
    // The shell's own: a bare machine has no program of that name.
    let command = format!("kill -{signal} {pid}");
    Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status().unwrap();
}
