//! Measures what the layer spends on requests of a caller with five keys, to which creates add:
//! instructions and allocations of one request. Each case runs over `MemoryBackend`, and over
//! `Cached` around it with the records in memory.
//!
//! `cargo bench --bench requests` (needs valgrind). Each case runs under callgrind with two numbers
//! of requests; the difference is the cost of the requests.

use std::process::Command;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use test_support::{
    bench::{BODY, PROJECT, TOKEN, USER},
    counting, records,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer,
    auth::StaticTokens,
    backend::{CredentialBackend, cached::Cached, memory::MemoryBackend},
    domain::{Caller, Credential, ProjectId, Quota, Scope, UserId},
};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

const CASES: [&str; 9] = [
    "v3 show",
    "v3 list",
    "OS-EC2 show",
    "OS-EC2 list",
    "OS-EC2 create",
    "IBM show",
    "IBM list",
    "IBM create",
    "v2.0 list",
];
const KEYS: usize = 5;
const FEW: u64 = 500;
const MANY: u64 = 1_500;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if let (Some(case), Some(store), Some(count)) =
        (arguments.next(), arguments.next(), arguments.next())
    {
        return run(&case, store == "cached", count.parse().unwrap());
    }
    println!("{:<16}{:>24}{:>24}", "", "MemoryBackend", "Cached");
    for case in CASES {
        let [memory, cached] = ["memory", "cached"].map(|store| {
            let ((few, _), (many, allocations)) =
                (measured(case, store, FEW), measured(case, store, MANY));
            format!("{} ({allocations})", (many - few) / (MANY - FEW))
        });
        println!("{case:<16}{memory:>24}{cached:>24}");
    }
    println!("instructions, and allocations in parentheses, of one request");
}

fn run(case: &str, is_cached: bool, count: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let backend = MemoryBackend::default();
    let keys: Vec<Credential> = (0..KEYS).map(|_| records::new_pair_in(PROJECT, USER)).collect();
    runtime.block_on(async {
        for key in &keys {
            backend.insert(&key.clone().into(), Quota::Unlimited).await.unwrap();
        }
    });
    if is_cached {
        runtime.block_on(send(Cached::new(backend), &keys[0], case, count));
    } else {
        runtime.block_on(send(backend, &keys[0], case, count));
    }
}

async fn send(backend: impl CredentialBackend, key: &Credential, case: &str, count: u64) {
    let (user, project) = (UserId::new(USER).unwrap(), ProjectId::new(PROJECT).unwrap());
    let caller = Caller::new(user, Scope::Project(project)).with_roles(["admin"]);
    let tokens = StaticTokens::new().with_token(TOKEN, "alice", caller);
    let app = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let mut service = CredentialLayer::new(tokens, backend).layer(app);
    let (id, access) = (key.id.as_str(), key.access_key.as_ref().unwrap().as_str());
    let path = match case {
        "v3 show" => format!("/v3/credentials/{id}"),
        "v3 list" => format!("/v3/credentials?user_id={USER}&type=ec2"),
        "OS-EC2 show" => format!("/v3/users/{USER}/credentials/OS-EC2/{access}"),
        "OS-EC2 list" | "OS-EC2 create" => format!("/v3/users/{USER}/credentials/OS-EC2"),
        "IBM show" => format!("/credentials/{access}"),
        "IBM list" | "IBM create" => "/credentials".to_owned(),
        "v2.0 list" => format!("/v2.0/users/{USER}/OS-KSADM/credentials"),
        _ => panic!("unknown case: {case}"),
    };
    let (method, body, expected) = match case {
        "IBM create" => (Method::POST, BODY.to_owned(), StatusCode::CREATED),
        "OS-EC2 create" => {
            (Method::POST, format!("{{\"tenant_id\": \"{PROJECT}\"}}"), StatusCode::CREATED)
        }
        _ => (Method::GET, String::new(), StatusCode::OK),
    };
    let body = Bytes::from(body);
    let mut allocations = Vec::new();
    for _ in 0..count {
        let request = Request::builder()
            .method(&method)
            .uri(&path)
            .header("host", "keys.example.org")
            .header("x-auth-token", TOKEN)
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))
            .unwrap();
        let service = service.ready().await.unwrap();
        let before = counting::so_far();
        let response = service.call(request).await.unwrap();
        allocations.push(counting::so_far() - before);
        assert_eq!(response.status(), expected);
        assert!(response.into_body().collect().await.unwrap().to_bytes().len() > 100);
    }
    println!("allocations {}", allocations.last().unwrap());
}

/// The instructions of this program for one case, and the allocations of its last request.
fn measured(case: &str, store: &str, count: u64) -> (u64, u64) {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([case, store, &count.to_string()])
        .output()
        .expect("valgrind is needed: apt-get install valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let number = |text: &str, label: &str| -> u64 {
        let found = text.lines().find_map(|line| line.split_once(label));
        found.unwrap_or_else(|| panic!("no {label:?} in {text}")).1.trim().parse().unwrap()
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    (number(&report, "Collected : "), number(&printed, "allocations "))
}
