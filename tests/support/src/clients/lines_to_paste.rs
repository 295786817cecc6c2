//! The three lines that the server prints do what it says they do.

use std::process::Command;

use crate::{
    clients::python::has_aws,
    process::{Program, Server},
    tools::{bare, has},
};

pub async fn the_lines_to_paste_mint_a_key_use_it_and_lock_it_out(program: Program) {
    if !has("curl", Command::new("curl").arg("--version")) || !has_aws() {
        return;
    }
    let running = Server::new(program).start().await;
    let printed = running.stdout();
    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).skip(1).collect();
    let [mint, list, disable] = lines[..] else { panic!("{printed}") };

    // As a terminal would run them: one after the other, in one shell.
    let script = format!("{mint}\n{list}\necho \"listed: $?\"\n{disable}\necho \"disabled: $?\"\n");
    let mut bash = Command::new("bash");
    bare(&mut bash).arg("-c").arg(&script);
    let output = tokio::task::spawn_blocking(move || bash.output().unwrap()).await.unwrap();
    let (said, told) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The answer to the create is shown, so that its secret can be kept.
    assert!(told.contains("\"secret\":\""), "{told}");
    assert!(
        said.contains("make_bucket: demo") && said.contains(" demo\nlisted: 0\n"),
        "{said}{told}"
    );
    assert!(said.contains("\"status\":\"Inactive\""), "{said}{told}");
    assert!(told.contains("InvalidAccessKeyId"), "{said}{told}");
    assert!(said.contains("disabled: ") && !said.contains("disabled: 0"), "{said}{told}");
}
