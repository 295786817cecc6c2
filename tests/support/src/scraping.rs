//! The metrics of a running server.

use std::collections::BTreeSet;

use http::StatusCode;
use tokio::time::sleep;

use crate::{http::Client, process::Running, waiting::Waiting};

/// The host and port of the metrics of a server that was started with `--metrics-listen`, from its
/// log.
pub async fn address(server: &Running) -> String {
    for () in Waiting::start() {
        let log = server.stderr();
        let found = log.split_once("metrics are at http://").map(|(_, rest)| rest);
        if let Some((host, _)) = found.and_then(|rest| rest.split_once("/metrics")) {
            return host.to_owned();
        }
        sleep(Waiting::STEP).await;
    }
    panic!("no line with the address of the metrics:\n{}", server.stderr());
}

/// The page at this host and port.
pub async fn scrape(host: &str) -> String {
    let answer = Client::new(&format!("http://{host}")).get("/metrics", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    let format = &answer.headers["content-type"];
    assert_eq!(format, "text/plain; version=0.0.4; charset=utf-8");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The series of a page, without their values.
pub fn series(page: &str) -> BTreeSet<String> {
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// The value of a series.
pub fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
}
