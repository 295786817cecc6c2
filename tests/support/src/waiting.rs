//! Waiting for what a process does.

use std::{fs, path::Path, process::Child, time::Duration};

/// How long anything may take that is waited for, before the test gives up.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Turns to wait for something, until patience is out.
pub struct Waiting(Duration);

impl Waiting {
    pub const STEP: Duration = Duration::from_millis(10);

    pub fn start() -> Self {
        Self(TIMEOUT)
    }
}

impl Iterator for Waiting {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(Self::STEP)?;
        Some(())
    }
}

/// Waits until a server that was just started listens, and has printed the lines to
/// paste; where it listens.
pub async fn listening(server: &mut Child, stdout: &Path, stderr: &Path) -> String {
    let logged = || String::from_utf8_lossy(&fs::read(stderr).unwrap()).into_owned();
    for () in Waiting::start() {
        let printed = fs::read_to_string(stdout).unwrap();
        if let Some(rest) = printed.strip_prefix("Listening on ")
            && printed.ends_with("\n\n")
        {
            let url = rest.split_whitespace().next().unwrap();
            return url.trim_end_matches(['.', ',']).to_owned();
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {ended:?}\n{}", logged());
        tokio::time::sleep(Waiting::STEP).await;
    }
    panic!("the server does not listen:\n{}", logged());
}
