//! A server under the soak: sends requests, checks responses, and collects faults.

use std::{
    env, fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::process::Running;
use tokio::time::{Instant, sleep};

use crate::{
    keys::Keys,
    people::{GONE_WITHIN, People, ROOT},
    sign::Sketch,
    tally::Tally,
    wire::{self, Pieces, Reply},
};

/// The servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Accesser,
    Gateway,
    Front,
}

/// A run ends after this many faults.
const MAX_FAULTS: usize = 5;

pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) server: Running,
    pub(crate) people: People,
    pub(crate) keys: Keys,
    pub(crate) tally: Tally,
    pub(crate) seed: u64,
    pub(crate) began: Instant,
    until: Instant,
    faults: Mutex<Vec<String>>,
    /// How often an outage began or ended: odd during an outage.
    outages: AtomicU64,
    up_since: Mutex<Instant>,
    reloads: AtomicUsize,
}

/// The count of outages when a request was sent.
#[derive(Clone, Copy)]
pub(crate) struct Since(u64);

/// How long a server is soaked.
pub(crate) fn duration() -> Duration {
    let seconds = env::var("SOAK_SECONDS").map_or(6, |seconds| {
        seconds.parse().unwrap_or_else(|_| panic!("SOAK_SECONDS must be a number: {seconds:?}"))
    });
    Duration::from_secs(seconds)
}

impl World {
    pub(crate) fn new(kind: Kind, server: Running, people: People, seed: u64) -> Self {
        let began = Instant::now();
        Self {
            kind,
            server,
            people,
            seed,
            began,
            until: began + duration(),
            keys: Keys::default(),
            tally: Tally::default(),
            faults: Mutex::default(),
            outages: AtomicU64::new(0),
            up_since: Mutex::new(began),
            reloads: AtomicUsize::new(0),
        }
    }

    pub(crate) fn host(&self) -> &str {
        self.server.host()
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.has_failed()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.faults.lock().unwrap().len() >= MAX_FAULTS
    }

    pub(crate) fn fault(&self, what: impl fmt::Display) {
        let after = self.began.elapsed();
        self.faults.lock().unwrap().push(format!("after {after:.1?}: {what}"));
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// How often the server has reloaded its identities.
    pub(crate) fn reloads(&self) -> usize {
        self.reloads.load(Ordering::SeqCst)
    }

    /// Begins or ends an outage.
    pub(crate) fn toggle_outage(&self) {
        *self.up_since.lock().unwrap() = Instant::now();
        self.outages.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Since {
        Since(self.outages.load(Ordering::SeqCst))
    }

    /// Whether an outage overlaps with the time since then.
    pub(crate) fn had_outage(&self, since: Since) -> bool {
        since.0 % 2 == 1 || self.now().0 != since.0
    }

    /// Whether an outage overlaps with the time since then, or ended so recently that cached data
    /// of the directory may still be used.
    pub(crate) fn had_recent_outage(&self, since: Since) -> bool {
        self.had_outage(since) || self.up_since.lock().unwrap().elapsed() < 2 * GONE_WITHIN
    }

    /// Sends a valid HTTP request, which must get a response.
    pub(crate) async fn send(
        &self,
        class: &'static str,
        sketch: &Sketch,
        asker: Option<usize>,
    ) -> Option<Reply> {
        let bytes = sketch.write(self.host());
        let head_only = sketch.method == "HEAD";
        let pieces = vec![(bytes, Duration::ZERO)];
        self.send_pieces(class, pieces, 1, head_only, asker).await?.pop()
    }

    /// Sends valid HTTP requests in pieces. Each request must get a response.
    pub(crate) async fn send_pieces(
        &self,
        class: &'static str,
        pieces: Pieces,
        count: usize,
        head_only: bool,
        asker: Option<usize>,
    ) -> Option<Vec<Reply>> {
        let (since, what) = (self.now(), shown(&pieces));
        self.tally.sent(class);
        match wire::exchange(self.host(), pieces, count, head_only).await {
            Err(why) => {
                self.fault(format_args!("{class}: {why}: {what}"));
                None
            }
            Ok(replies) if replies.len() < count => {
                let (got, last) = (replies.len(), replies.last());
                self.fault(format_args!(
                    "{class}: {got} responses instead of {count}: {what}\n{last:?}"
                ));
                None
            }
            Ok(replies) => {
                for reply in &replies {
                    self.check(class, since, asker, reply, &what);
                }
                Some(replies)
            }
        }
    }

    /// Checks a response: its status, and that it contains no secret of another user.
    pub(crate) fn check(
        &self,
        class: &str,
        since: Since,
        asker: Option<usize>,
        reply: &Reply,
        what: &str,
    ) {
        if reply.status >= 500 {
            if self.is_excused(since, reply) {
                self.tally.excused(reply.status);
            } else {
                self.fault(format_args!("{class}: {what}\n{reply:?}"));
            }
        }
        let all = [reply.head.as_bytes(), &reply.body].concat();
        let shown = self.keys.owners_in(&all);
        if asker != Some(ROOT) && shown.iter().any(|owner| Some(*owner) != asker) {
            let status = reply.status;
            self.fault(format_args!("{class}: {status} with another user's secret: {what}"));
        }
    }

    /// S3 and HTTP define 501 for operations that a server does not have. While Keystone is down,
    /// the layer returns 503, and the front returns 502 for forwarded requests.
    fn is_excused(&self, since: Since, reply: &Reply) -> bool {
        match reply.status {
            501 => true,
            502 | 503 => self.kind == Kind::Front && self.had_outage(since),
            _ => false,
        }
    }

    /// Follows the server's log until the future is dropped.
    pub(crate) async fn follow_log(&self) {
        let mut log = File::open(self.server.log()).unwrap();
        let mut rest = String::new();
        loop {
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes).unwrap();
            rest += &String::from_utf8_lossy(&bytes);
            // The last line may be incomplete.
            let complete = rest.rfind('\n').map_or(0, |end| end + 1);
            let lines: String = rest.drain(..complete).collect();
            let reloads = lines.matches("reloaded identities").count();
            self.reloads.fetch_add(reloads, Ordering::SeqCst);
            if let Some(line) = lines.lines().find(|line| line.contains("panicked")) {
                self.fault(line);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The whole log.
    pub(crate) fn log(&self) -> Vec<u8> {
        let mut log = File::open(self.server.log()).unwrap();
        let mut bytes = Vec::new();
        log.seek(SeekFrom::Start(0)).unwrap();
        log.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// A request, for the message of a fault.
pub(crate) fn shown(pieces: &Pieces) -> String {
    let bytes: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece).copied().take(900).collect();
    format!("{:?}", String::from_utf8_lossy(&bytes))
}
