//! Files with secrets that other users can read or write.

use tower_credentials::backend::encrypted::KeyRing;

use crate::{
    process::{Program, Server},
    secret_file::{self, OPEN, set_mode},
};

const IDENTITIES: &str = r#"
    [[projects]]
    id = "p1"
    name = "one"

    [[users]]
    id = "u1"
    name = "dana"
    projects = ["p1"]

    [[tokens]]
    token = "hush-hush"
    user_id = "u1"
    project_id = "p1"
    roles = ["key_listing_user"]
"#;

/// Starts the server with a file in each mode, with and without `--accept-open-files`.
async fn check_rejected_unless_accepted(program: Program, option: &str, prefix: &str, text: &str) {
    let secret = |output: &str| text.lines().any(|line| !line.is_empty() && output.contains(line));
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    let named = format!("{prefix}{}", file.display());
    let server = || Server::new(program).arguments(&[option, &named]);
    secret_file::write(&file, text);
    for mode in OPEN {
        set_mode(&file, mode);
        let output = server().error().await;
        assert!(output.contains(&format!("`chmod 600 {}`", file.display())), "{mode:o}: {output}");
        assert!(output.contains("--accept-open-files"), "{mode:o}: {output}");
        assert!(!secret(&output), "{mode:o}: {output}");
        let running = server().arguments(&["--accept-open-files"]).start().await;
        assert!(running.stderr().contains("chmod 600") && !secret(&running.stderr()), "{mode:o}");
    }
    for mode in [0o600, 0o400] {
        set_mode(&file, mode);
        assert!(!server().start().await.stderr().contains("chmod"), "{mode:o}");
    }
}

pub async fn identities_that_others_can_read_or_write_are_rejected(program: Program) {
    check_rejected_unless_accepted(program, "--identities", "", IDENTITIES).await;
}

pub async fn key_ring_that_others_can_read_or_write_is_rejected(program: Program) {
    let ring = KeyRing::generate_key("first").unwrap();
    check_rejected_unless_accepted(program, "--key-ring", "", ring.expose()).await;
}

pub async fn url_file_that_others_can_read_or_write_is_rejected(program: Program) {
    let home = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", home.path().join("a.db").display());
    check_rejected_unless_accepted(program, "--backend", "@", &url).await;
}

pub async fn reload_of_identities_that_others_can_read_keeps_the_old_ones(program: Program) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("identities.toml");
    secret_file::write(&file, IDENTITIES);
    let server = Server::new(program).arguments(&["--identities", file.to_str().unwrap()]);
    let running = server.start().await;
    let client = running.client();
    client.get("/credentials", "hush-hush").await.expect(200);

    secret_file::write(&file, IDENTITIES.replace("hush-hush", "hush-again"));
    set_mode(&file, 0o640);
    running.signal("HUP");
    running.logged("cannot reload identities, keeping the old ones", 1).await;
    client.get("/credentials", "hush-hush").await.expect(200);
    client.get("/credentials", "hush-again").await.expect(401);
    let log = running.stderr();
    assert!(log.contains(&format!("chmod 600 {}", file.display())), "{log}");
    assert!(!log.contains("hush"), "{log}");

    set_mode(&file, 0o600);
    running.signal("HUP");
    running.logged("reloaded identities", 1).await;
    client.get("/credentials", "hush-again").await.expect(200);
    client.get("/credentials", "hush-hush").await.expect(401);
}
