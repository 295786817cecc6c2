//! Compares the front with its Keystone: the same requests to both, on one machine with the
//! clients. Also compares the front with a bare hyper handler that returns the same bytes.
//!
//! ```text
//! eval "$(scripts/keystone env FOLDER)"
//! KEYSTONE_PID=... cargo bench -p keystone-front --bench front
//! ```
//!
//! `OS_AUTH_URL` is the URL of the Keystone, and `OS_PASSWORD` the admin's password. `KEYSTONE_PID`
//! is its main process. The bench measures the CPU time of that process and its children. Without
//! these variables nothing runs. Configure Keystone for its best performance: as many workers as
//! cores, and memcached.
//!
//! A word such as `create` measures only the requests with this word in their name. `FRONT` is the
//! path of another build of the front to measure.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod bare;
mod disk;
mod engine;
mod world;

use std::{env, net::SocketAddr, time::Duration};

use test_support::{
    bench::{
        self,
        load::{self, Connection, Load},
    },
    process::{Program, Running, Server},
    secret_file,
};

use crate::{bare::Bare, world::World};

/// The length of each measurement.
const LENGTH: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(500);
/// Every round measures all requests, on each server in turn.
const ROUNDS: usize = 3;
/// The clients of the comparison with the engine, and of one row.
const CREATORS: usize = 64;

/// A request, the number of connections, and the bar for Keystone's CPU time divided by the front's.
const CASES: [(&str, usize, f64); 7] = [
    ("show", 4, 250.0),
    ("ec2 show", 4, 250.0),
    ("s3tokens", 4, 250.0),
    ("ec2 create", 4, 60.0),
    ("ec2 create", CREATORS, 100.0),
    ("ec2 list of 5", 4, 200.0),
    ("ec2 list of 100", 4, 50.0),
];

#[tokio::main]
async fn main() {
    if env::args().any(|word| word == bare::WORD) {
        return bare::serve().await;
    }
    let variable = |name| env::var(name).ok();
    let (Some(url), Some(password), Some(keystone)) =
        (variable("OS_AUTH_URL"), variable("OS_PASSWORD"), variable("KEYSTONE_PID"))
    else {
        println!("set OS_AUTH_URL, OS_PASSWORD and KEYSTONE_PID to compare with a Keystone");
        return;
    };
    let keystone: u32 = keystone.parse().expect("KEYSTONE_PID is a number");
    let origin = url.trim_end_matches('/').trim_end_matches("/v3").to_owned();
    let direct: SocketAddr = origin.trim_start_matches("http://").parse().expect("http://ip:port");

    let words = bench::words();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let front = start(&origin, &password).await;
    let world = World::make(direct, &password).await;
    let mut cases = Vec::new();
    for (name, connections, bar) in CASES.into_iter().filter(|(name, ..)| wanted(name)) {
        cases.push(Case::new(name, connections, bar, &world, direct, &front).await);
    }
    println!("{ROUNDS} rounds of {LENGTH:?} on each server; milliseconds");
    println!("{:<32}{:>12}{:>12}{:>12}{:>12}", "", "requests/s", "p50", "p99", "server CPU");
    for _ in 0..ROUNDS {
        for case in &mut cases {
            case.measure(keystone, front.id()).await;
        }
    }
    println!("\nmedians of {ROUNDS} rounds");
    for case in &cases {
        case.print();
    }
    if wanted("engine") {
        engine::compare(&origin, &password, &world).await;
    }
}

/// A request to measure, and what was measured in each round.
struct Case {
    name: String,
    connections: usize,
    bar: f64,
    expected: u16,
    /// The address of each server and the request for it: Keystone, the front, the bare handler.
    servers: [(SocketAddr, Vec<u8>); 3],
    bare: Bare,
    /// The loads of these servers.
    rounds: Vec<[Load; 3]>,
    /// For creates, the front's p99 divided by that of the disk.
    over_disk: Vec<f64>,
}

impl Case {
    async fn new(
        name: &str,
        connections: usize,
        bar: f64,
        world: &World,
        keystone: SocketAddr,
        front: &Running,
    ) -> Self {
        let address = front.host().parse().unwrap();
        let (to_keystone, expected) = world.request(name, keystone).await;
        let (to_front, _) = world.request(name, address).await;
        let mut connection = Connection::open(address).await;
        assert_eq!(connection.send(&to_front).await, expected, "{}", connection.json());
        let bare = Bare::start(connection.answer());
        let servers =
            [(keystone, to_keystone), (address, to_front.clone()), (bare.address(), to_front)];
        let (name, rounds, over_disk) = (format!("{name}, {connections}"), Vec::new(), Vec::new());
        Self { name, connections, bar, expected, servers, bare, rounds, over_disk }
    }

    async fn measure(&mut self, keystone: u32, front: u32) {
        let processes = [keystone, front, self.bare.id()];
        let names = ["Keystone", "front", "bare handler"];
        let mut loads = Vec::new();
        for ((name, process), (address, request)) in
            names.into_iter().zip(processes).zip(&self.servers)
        {
            let run = |length| {
                load::run(*address, process, request, self.expected, self.connections, length)
            };
            run(WARM_UP).await;
            let before = disk::written(process);
            let load = run(LENGTH).await;
            if name == "front" && self.expected == 201 && self.connections == 4 {
                let bytes = (disk::written(process) - before) / u64::from(load.requests);
                let synced = disk::p99_of_syncs(bytes, LENGTH);
                self.over_disk.push(load.p99.as_secs_f64() / synced.as_secs_f64());
                println!(
                    "    {bytes:.0} bytes per create; p99 of writing and syncing them: {synced:?}"
                );
            }
            print(&format!("{}, {name}", self.name), &load);
            loads.push(load);
        }
        self.rounds.push(loads.try_into().unwrap());
    }

    fn print(&self) {
        let median =
            |of: &dyn Fn(&[Load; 3]) -> f64| bench::median(self.rounds.iter().map(of).collect());
        let cpu = median(&|[keystone, front, _]| ratio(keystone.cpu, front.cpu));
        let bare = median(&|[_, front, bare]| ratio(front.cpu, bare.cpu));
        let p99 = median(&|[keystone, front, _]| ratio(keystone.p50, front.p99));
        let rate = median(&|[keystone, front, _]| {
            front.requests_per_second / keystone.requests_per_second
        });
        let micros = median(&|[_, front, _]| front.cpu.as_secs_f64() * 1e6);
        println!("{}", self.name);
        println!(
            "    CPU: {cpu:.0} times less than Keystone ({micros:.0} us), bar: {:.0}",
            self.bar
        );
        println!("    CPU: {bare:.2} times a bare handler");
        println!("    requests a second: {rate:.0} times Keystone's");
        println!("    Keystone's p50 / the front's p99: {p99:.1}");
        if !self.over_disk.is_empty() {
            let over_disk = bench::median(self.over_disk.clone());
            println!(
                "    p99 / p99 of writing and syncing the bytes of one create: {over_disk:.2}, bar: 2"
            );
        }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn print(what: &str, load: &Load) {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:<32}{:>12.0}{:>12.3}{:>12.3}{:>12.4}",
        load.requests_per_second,
        millis(load.p50),
        millis(load.p99),
        millis(load.cpu),
    );
}

/// Starts the front with a new store.
async fn start(keystone: &str, password: &str) -> Running {
    let other = env::var("FRONT").ok().map(|path| &*path.leak());
    let path = other.unwrap_or(env!("CARGO_BIN_EXE_keystone-front"));
    let front = Program { path, keeps_data: false };
    let front = Server::new(front);
    let (secret, store) = (front.home().join("password"), front.home().join("front.db"));
    secret_file::write(&secret, password);
    let store = format!("sqlite:{}", store.display());
    let arguments = ["--keystone", keystone, "--backend", &store, "--service-user", "admin"];
    let front = front.arguments(&arguments).arguments(&["--service-project", "admin"]);
    let secret = secret.to_str().unwrap();
    front.arguments(&["--service-password-file", secret]).start().await
}
