//! Files with secrets that other users can read or write.

use std::{fs, path::Path};

use tower_credentials::backend::encrypted::KeyRing;

use crate::{
    process::{Front, PASSWORD},
    secret_file::{self, OPEN, set_mode},
};

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Starts the front with a file in each mode, with and without `--accept-open-files`.
async fn check_rejected_unless_accepted(file: &Path, front: impl Fn() -> Front) {
    let secret = fs::read_to_string(file).unwrap();
    for mode in OPEN {
        set_mode(file, mode);
        let (starts, _, output) = front().run(&LISTEN).await;
        assert!(!starts && output.contains(&format!("`chmod 600 {}`", file.display())), "{output}");
        assert!(output.contains("--accept-open-files"), "{mode:o}: {output}");
        assert!(!output.contains(secret.trim_end()), "{mode:o}: {output}");
        let running = front().arguments(&["--accept-open-files"]).start().await;
        let log = running.stderr();
        assert!(log.contains("chmod 600") && !log.contains(secret.trim_end()), "{mode:o}: {log}");
    }
    set_mode(file, 0o600);
    assert!(!front().start().await.stderr().contains("chmod"));
}

#[tokio::test]
async fn service_password_that_others_can_read_or_write_is_rejected() {
    let front = Front::of("http://127.0.0.1:1");
    let file = front.password_file();
    assert!(fs::read_to_string(&file).unwrap().contains(PASSWORD));
    check_rejected_unless_accepted(&file, || front.without_arguments()).await;
}

#[tokio::test]
async fn key_ring_that_others_can_read_or_write_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ring");
    secret_file::write(&file, KeyRing::generate_key("first").unwrap().expose());
    let arguments = ["--key-ring", file.to_str().unwrap()];
    check_rejected_unless_accepted(&file, || Front::of("http://127.0.0.1:1").arguments(&arguments))
        .await;
}

#[tokio::test]
async fn url_file_that_others_can_read_or_write_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("url");
    secret_file::write(&file, format!("sqlite:{}\n", home.path().join("a.db").display()));
    let named = format!("@{}", file.display());
    let arguments = ["--backend", &*named];
    check_rejected_unless_accepted(&file, || Front::of("http://127.0.0.1:1").arguments(&arguments))
        .await;
}
