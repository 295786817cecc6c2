//! Idle connections, when they take all places.

use std::fs;

use tokio::{net::TcpStream, time::sleep};

use crate::{
    http::Raw,
    keys::{create_body, secret_of},
    process::{Program, Server},
    waiting::Waiting,
};

/// How many connections a server has places for.
const PLACES: usize = 4_096;

/// How many connections the clients open.
const IDLE: usize = 10_000;

/// The maximum number of open files of this process.
fn max_open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

pub async fn request_is_served_while_idle_connections_fill_every_place(program: Program) {
    let (mut idle, mut places) = (IDLE, PLACES);
    if max_open_files() < IDLE + PLACES {
        idle = max_open_files() / 2;
        places = idle / 4;
    }
    let arguments = ["--max-connections", &places.to_string()];
    let log = "info,example_support=debug";
    let server = Server::new(program).arguments(&arguments).log(log).start().await;
    let mut clients = Vec::new();
    for n in 0..idle {
        clients.push(TcpStream::connect(server.host()).await.unwrap());
        if n % 50 == 0 {
            // A client whose connections overflow the queue of the listener waits for a second.
            sleep(Waiting::STEP).await;
        }
    }
    assert_eq!(server.client().get("/healthz", "").await.expect(200).text(), "ok\n");
    // They did not only end because they were idle for 15 seconds.
    let lost = server.stderr().matches("an idle connection lost its place").count();
    assert!(lost > (idle - places) / 2, "{lost} of {idle}");
    drop(clients);
}

pub async fn running_requests_and_new_connections_keep_their_places(program: Program) {
    let server = Server::new(program).arguments(&["--max-connections", "2"]).start().await;
    let body = create_body("in-time", &secret_of("in-time"), "Active").to_string();
    let mut running = Raw::connect(server.host()).await;
    running
        .send(format!(
            "POST /credentials HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: dev-alice\r\n\
             Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    running.receive_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    // They share the other place.
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut other = Raw::connect(server.host()).await;
        other.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        other.receive_until("ok\n").await;
        others.push(other);
    }
    running.send(&body).await;
    let received = running.receive_until("\r\n\r\n").await;
    assert!(received.starts_with("HTTP/1.1 201 "), "{received}");
    // All but the last were closed.
    for mut other in others.into_iter().take(3) {
        assert_eq!(other.receive_all().await, "");
    }
}
