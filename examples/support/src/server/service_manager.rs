//! Notifies the service manager, such as systemd, of the state of the server: the protocol of
//! `sd_notify(3)`.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::Duration,
};

use tokio::time::interval;

/// Reports that the server serves, and continues to report that it is alive if the service manager
/// watches that.
pub(super) fn ready() {
    notify("READY=1");
    let Some(period) = watchdog_period() else { return };
    tokio::spawn(async move {
        let mut ticks = interval(period);
        loop {
            ticks.tick().await;
            notify("WATCHDOG=1");
        }
    });
}

/// Reports that the server stops.
pub(super) fn stopping() {
    notify("STOPPING=1");
}

/// Sends a state. Without a service manager, does nothing.
fn notify(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, state, "cannot notify the service manager");
    }
}

fn send(socket: &OsString, state: &str) -> io::Result<()> {
    let address = address_of(socket)?;
    let sender = UnixDatagram::unbound()?;
    // A service manager that does not read must not stop the server.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

/// Only Linux has sockets whose name is not that of a file, written with `@`.
#[cfg(target_os = "linux")]
fn address_of(socket: &OsString) -> io::Result<SocketAddr> {
    use std::os::{linux::net::SocketAddrExt as _, unix::ffi::OsStrExt as _};

    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(not(target_os = "linux"))]
fn address_of(socket: &OsString) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(socket)
}

/// Half of the time after which the service manager counts the server as dead.
fn watchdog_period() -> Option<Duration> {
    let micros: u64 = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let is_ours = env::var("WATCHDOG_PID").map_or(true, |id| id == std::process::id().to_string());
    (is_ours && micros > 1).then(|| Duration::from_micros(micros / 2))
}
