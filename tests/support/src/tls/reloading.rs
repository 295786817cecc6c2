//! Certificates that are replaced while the server runs.

use std::fs;

use time::Duration;
use tokio::time::sleep;

use super::{
    authority::DAY,
    broken::Broken,
    lab::{HEALTH, Lab, exchange, serial},
};
use crate::{
    process::{Program, Running},
    secret_file,
    waiting::Waiting,
};

const FAILED: &str = "cannot reload the TLS certificate, keeping the old one";
const RELOADED: &str = "reloaded the TLS certificate";

pub async fn sighup_replaces_the_certificate_for_new_connections(program: Program) {
    let lab = Lab::start(program).await;
    let mut old = lab.connect().await;
    assert_eq!(serial(&old), 1);
    exchange(&mut old, HEALTH, "ok\n").await;
    lab.files.write(&lab.files.authority.issue(2));
    lab.running.signal("HUP");
    lab.running.logged("reloaded the TLS certificate serial=02 ", 1).await;
    assert_eq!(lab.serial().await, 2);
    // The server does not close connections.
    exchange(&mut old, HEALTH, "ok\n").await;

    // SIGHUP also reads files that have not changed, and the other reloads still work.
    lab.running.signal("HUP");
    lab.running.logged("reloaded the TLS certificate serial=02 ", 2).await;
    lab.running.logged("reloaded identities", 2).await;
    assert_eq!(lab.serial().await, 2);
}

pub async fn changed_files_replace_the_certificate(program: Program) {
    let lab = Lab::start(program).await;
    assert_eq!(lab.serial().await, 1);
    lab.files.write(&lab.files.authority.issue(2));
    lab.waits_for_serial(2).await;

    // Also if other files take their places.
    let next = lab.files.authority.issue(3);
    let [cert, key] = ["cert.new", "key.new"].map(|name| lab.files.server.home().join(name));
    secret_file::write(&key, &next.key);
    fs::write(&cert, &next.cert).unwrap();
    fs::rename(key, &lab.files.key).unwrap();
    fs::rename(cert, &lab.files.cert).unwrap();
    lab.waits_for_serial(3).await;
}

/// Waits until the log has a line about a failed reload with this text, after this many bytes.
async fn failed(running: &Running, text: &str, after: usize) {
    for () in Waiting::start() {
        let log = running.stderr();
        if log[after..].lines().any(|line| line.contains(FAILED) && line.contains(text)) {
            return;
        }
        sleep(Waiting::STEP).await;
    }
    panic!("{text:?} is not logged:\n{}", &running.stderr()[after..]);
}

pub async fn broken_files_leave_the_old_certificate_in_use(program: Program) {
    let lab = Lab::start(program).await;
    // One server for all cases: each starts with the valid files.
    let valid = lab.files.authority.issue(2);
    lab.files.write(&valid);
    lab.waits_for_serial(2).await;
    for (n, broken) in Broken::ALL.into_iter().enumerate() {
        let start = lab.running.stderr().len();
        let message = broken.apply(&lab.files);
        // Some cases are found without a signal, which takes longer.
        if n % 4 != 0 {
            lab.running.signal("HUP");
        }
        failed(&lab.running, &message, start).await;
        assert_eq!(lab.serial().await, 2, "{broken:?}");
        exchange(&mut lab.connect().await, HEALTH, "ok\n").await;

        if lab.files.cert.is_dir() {
            fs::remove_dir(&lab.files.cert).unwrap();
        }
        let reloads = lab.running.stderr().matches(RELOADED).count();
        lab.files.write(&valid);
        lab.running.signal("HUP");
        lab.running.logged(RELOADED, reloads + 1).await;
    }
    lab.files.write(&lab.files.authority.issue(3));
    lab.waits_for_serial(3).await;
    let log = lab.running.stderr();
    assert!(!log.contains("panicked"), "{log}");
    let secret = valid.key.lines().nth(1).unwrap();
    assert!(!log.contains(secret), "{log}");
}

pub async fn half_written_files_are_read_again(program: Program) {
    let lab = Lab::start(program).await;
    let next = lab.files.authority.issue(2);
    fs::write(&lab.files.cert, &next.cert[..next.cert.len() / 2]).unwrap();
    failed(&lab.running, "cert.pem is not valid PEM", 0).await;
    assert_eq!(lab.serial().await, 1);
    // The certificate is complete, the key is not.
    fs::write(&lab.files.cert, &next.cert).unwrap();
    fs::write(&lab.files.key, &next.key[..next.key.len() / 2]).unwrap();
    failed(&lab.running, "key.pem is not valid PEM", 0).await;
    assert_eq!(lab.serial().await, 1);
    fs::write(&lab.files.key, &next.key).unwrap();
    lab.waits_for_serial(2).await;
}

pub async fn certificate_that_is_not_valid_yet_is_used_when_it_is(program: Program) {
    let lab = Lab::start(program).await;
    lab.files.write(&lab.files.authority.issue_from(2, Duration::seconds(10), DAY));
    lab.running.signal("HUP");
    failed(&lab.running, "is not valid before", 0).await;
    assert_eq!(lab.serial().await, 1);
    lab.waits_for_serial(2).await;
}
