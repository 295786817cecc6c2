//! etcd clusters that tests start on loopback.

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

/// How long a cluster may take to elect a leader.
const LEADER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a member may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a compaction or defragmentation of a million records may take.
const SHRINK_TIMEOUT: Duration = Duration::from_mins(15);

/// Runs a program until it ends or the standard input is closed, so that it never outlives the
/// tests. Prints its process id.
const GUARD: &str = r#""$@" </dev/null & echo $!; cat >/dev/null
kill -9 $! 2>/dev/null; wait; test -z "$REMOVE" || rm -rf "$REMOVE""#;

/// Whether etcd is installed. If not, prints that to stderr.
pub fn is_installed() -> bool {
    installed::has("etcd", Command::new("etcd").arg("--version"))
}

/// The URL of the cluster that all tests of this process share: `TOWER_CREDENTIALS_ETCD_URL`, or a
/// cluster of three members that ends with the process.
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

/// The URL of an empty prefix in the shared cluster. Its keys remain, below
/// `tower-credentials-test/`.
pub fn place(name: &str) -> Option<String> {
    let url = shared()?;
    let (cluster, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let cluster = cluster.trim_end_matches('/');
    let random = rand::random::<u64>();
    Some(format!("{cluster}/tower-credentials-test/{name}-{random:x}{query}"))
}

/// The members of a cluster. They end when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The scheme of its URL.
    scheme: &'static str,
    members: Vec<Member>,
    // Declared after the members, so that it is removed after they have ended.
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
    /// Starts members with these additional arguments, and waits for a leader.
    pub fn start(members: usize, arguments: &[&str]) -> Self {
        Self::start_behind(members, arguments, &|_, port| port)
    }

    /// The same with proxies between members. `doors` gets the index and the peer port of a member,
    /// and returns the port that its peers connect to.
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
        // All are bound at the same time, so that no port is used twice.
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

    /// The URL for [`EtcdBackend::open`](tower_credentials::backend::etcd::EtcdBackend::open).
    pub fn url(&self) -> String {
        self.url_of(&(0..self.members.len()).collect::<Vec<_>>())
    }

    /// The URL of some members alone.
    pub fn url_of(&self, members: &[usize]) -> String {
        let host = |member: &usize| format!("127.0.0.1:{}", self.port(*member));
        let hosts: Vec<_> = members.iter().map(host).collect();
        format!("{}://{}", self.scheme, hosts.join(","))
    }

    /// The client port of a member.
    pub fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    /// The process id of a running member.
    pub fn pid(&self, member: usize) -> &str {
        &self.members[member].running.as_ref().unwrap().pid
    }

    /// Kills a member with `kill -9`.
    pub fn kill(&mut self, member: usize) {
        if let Some(Running { mut guard, pid }) = self.members[member].running.take() {
            signal("KILL", &pid);
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }

    /// Starts a killed member with its data.
    pub fn restart(&mut self, member: usize) {
        let Member { arguments, remove, running, .. } = &mut self.members[member];
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh", "etcd"]).args(arguments).stderr(Stdio::null());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("REMOVE", remove.as_deref().unwrap_or("".as_ref()));
        // Debian's package requires this on some architectures.
        command.env("ETCD_UNSUPPORTED_ARCH", env::consts::ARCH.replace("aarch64", "arm64"));
        let mut guard = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        *running = Some(Running { guard, pid: pid.trim().into() });
    }

    /// Suspends a member. Its connections stay open, but it does not answer.
    pub fn suspend(&self, member: usize) {
        signal("STOP", self.pid(member));
    }

    /// Resumes a member.
    pub fn resume(&self, member: usize) {
        signal("CONT", self.pid(member));
    }

    /// The leader, according to the members that answer.
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|member| self.is_leader(*member))
    }

    /// Waits until another member is the leader. This one may still consider itself the leader.
    pub fn wait_for_leader_but(&self, member: usize) {
        let leads = |it: &Self| {
            let others = (0..it.members.len()).filter(|other| *other != member);
            others.into_iter().any(|other| it.is_leader(other))
        };
        wait_until(|| leads(self));
    }

    /// Makes this member the leader.
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

    /// The number of watches of a member.
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

    /// The id of the leader that a member knows, if any.
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

    /// Calls a member's gateway; `None` if it does not answer.
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
        self.ask(token, member, path, question, ANSWER_TIMEOUT)
    }

    fn ask(
        &self,
        token: &str,
        member: usize,
        path: &str,
        question: &Value,
        timeout: Duration,
    ) -> Option<Value> {
        let port = self.members[member].port;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(timeout)).unwrap();
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

    /// The memory of a member in bytes, without its mapped file.
    pub fn resident_memory(&self, member: usize) -> u64 {
        let pid = self.pid(member);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Compacts all old revisions.
    pub fn compact(&self) {
        let status = self.call(0, "/v3/maintenance/status", &json!({})).unwrap();
        let revision = &status["header"]["revision"];
        let question = json!({"revision": revision, "physical": true});
        self.ask("", 0, "/v3/kv/compaction", &question, SHRINK_TIMEOUT);
    }

    /// Defragments a member.
    pub fn defragment(&self) {
        self.ask("", 0, "/v3/maintenance/defragment", &json!({}), SHRINK_TIMEOUT).unwrap();
    }

    /// Writes a key, bypassing the store.
    pub fn put(&self, key: &str, value: &str) {
        let put = json!({"key": base64(key), "value": base64(value)});
        self.call(0, "/v3/kv/put", &put).unwrap();
    }

    /// Reads a key, bypassing the store.
    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.call(0, "/v3/kv/range", &json!({"key": base64(key)})).unwrap();
        let value = answer["kvs"][0]["value"].as_str()?;
        Some(String::from_utf8(data_encoding::BASE64.decode(value.as_bytes()).unwrap()).unwrap())
    }

    /// The number of keys with this prefix.
    pub fn count(&self, prefix: &str) -> u64 {
        // The first key after all of them: prefixes end with an ASCII character.
        let mut end = prefix.to_owned();
        let last = char::from(end.pop().unwrap() as u8 + 1);
        end.push(last);
        let range = json!({"key": base64(prefix), "range_end": base64(&end), "count_only": true});
        let answer = self.call(0, "/v3/kv/range", &range).unwrap();
        answer["count"].as_str().map_or(0, |count| count.parse().unwrap())
    }

    /// Deletes a key, bypassing the store.
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

/// The form in which the gateway expects keys and values.
pub fn base64(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(50);
    for _ in 0..LEADER_TIMEOUT.as_millis() / STEP.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("no leader after {LEADER_TIMEOUT:?}");
}

fn signal(signal: &str, pid: &str) {
    // The shell's built-in: a minimal machine has no program `kill`.
    let command = format!("kill -{signal} {pid}");
    Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status().unwrap();
}
