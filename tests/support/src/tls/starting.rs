//! What a server checks before it listens, and what it prints.

use std::fs;

use super::{broken::Broken, lab::Files};
use crate::process::{Program, Server};

pub async fn broken_files_prevent_the_start(program: Program) {
    for broken in Broken::ALL {
        let files = Files::new(program);
        let message = broken.apply(&files);
        let error = files.server.error().await;
        assert!(error.starts_with("error: ") && error.contains(&message), "{broken:?}: {error}");
    }
}

pub async fn certificate_and_key_require_each_other(program: Program) {
    for (option, other) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let server = Server::new(program).arguments(&[option, "/nonexistent"]);
        let (status, stderr) = server.refuse("127.0.0.1:0").await;
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(other), "{stderr}");
    }
}

pub async fn development_identities_require_a_loopback_address_with_tls(program: Program) {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let (status, output) = Files::new(program).server.refuse(listen).await;
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(output.contains(listen) && output.contains("--identities"), "{output}");
    }
}

pub async fn printed_commands_use_https(program: Program) {
    for arguments in [&[][..], &["--demo-key"]] {
        let lab = Files::new(program).arguments(arguments).start().await;
        let (url, printed) = (&lab.running.url, lab.running.stdout());
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        assert!(printed.contains(&format!("curl -sS -X PATCH {url}/")) || arguments.is_empty());
        assert!(!printed.contains("http://"), "{printed}");
        let log = lab.running.stderr();
        assert!(log.contains("loaded the TLS certificate serial=01 "), "{log}");
        let key = fs::read_to_string(&lab.files.key).unwrap();
        assert!(!log.contains(key.lines().nth(1).unwrap()), "{log}");
    }
}
