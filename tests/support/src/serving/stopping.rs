//! The shutdown, and the notifications of the service manager.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixDatagram},
};

use super::health::ready_with;
use crate::{
    keys::create,
    process::{Program, Server},
};

pub async fn readiness_fails_first_while_requests_are_served(program: Program) {
    let mut server = Server::new(program).arguments(&["--drain", "3"]).start().await;
    ready_with(&server.client(), 200, "store: ok").await;
    server.signal("TERM");
    let text = ready_with(&server.client(), 503, "").await;
    assert_eq!(text, "stopping\n");
    // On a new connection.
    create(&server.client(), "while-draining").await.expect(201);
    assert_eq!(server.client().get("/healthz", "").await.expect(200).text(), "ok\n");
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
}

pub async fn second_signal_ends_the_process_at_once(program: Program) {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let mut server = Server::new(program).arguments(&["--drain", "3600"]).start().await;
        server.signal(first);
        ready_with(&server.client(), 503, "stopping").await;
        server.signal(second);
        let status = server.ended().await;
        assert_eq!(status.code(), Some(1), "{}", server.stderr());
        assert!(server.stderr().contains("a second signal ends the process at once"));
    }
}

pub async fn service_manager_is_notified(program: Program) {
    let server = Server::new(program);
    let path = server.home().join("notify");
    let name = format!("tower-credentials-test-{}", path.display());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, variable) in [
        (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
        (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}")),
    ] {
        socket.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        let server = Server::new(program)
            .environment("NOTIFY_SOCKET", &variable)
            .environment("WATCHDOG_USEC", "400000");
        let mut running = server.start().await;
        assert_eq!(receive(&socket), "READY=1");
        assert_eq!(receive(&socket), "WATCHDOG=1");
        running.client().get("/healthz", "").await.expect(200);
        running.stop().await;
        let last = std::iter::repeat_with(|| receive(&socket)).find(|state| state != "WATCHDOG=1");
        assert_eq!(last.unwrap(), "STOPPING=1");
    }
}

fn receive(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}
