//! The commands that a server prints when it listens.

use std::process::Command;

use tokio::time::sleep;

use crate::{
    clients::python::has_aws,
    process::{Program, Server},
    secret_file,
    tools::{bare, has},
    waiting::Waiting,
};

pub async fn development_token_is_printed_only_without_identities(program: Program) {
    let public = Server::new(program).start().await;
    let create = format!("curl -sS {}/credentials/ -H 'X-Auth-Token: dev-alice'", public.url);
    // The server may still be writing.
    for () in Waiting::start() {
        if public.stdout().contains(&create) {
            break;
        }
        sleep(Waiting::STEP).await;
    }
    assert!(public.stdout().contains(&create), "{}", public.stdout());

    let server = Server::new(program);
    let identities = server.home().join("identities.toml");
    secret_file::write(&identities, "tokens = []\n");
    let own = server.arguments(&["--identities", identities.to_str().unwrap()]).start().await;
    assert_eq!(own.stdout(), format!("Listening on {}.\n\n", own.url));
}

pub async fn printed_commands_use_the_demo_key_and_disable_it(program: Program) {
    if !has("curl", Command::new("curl").arg("--version")) || !has_aws() {
        return;
    }
    let running = Server::new(program).arguments(&["--demo-key"]).start().await;
    let printed = running.stdout();
    let is_command =
        |line: &&str| ["export ", "aws ", "curl "].iter().any(|it| line.starts_with(it));
    let commands: Vec<&str> = printed.lines().filter(is_command).collect();
    let [id, secret, list, disable] = commands[..] else { panic!("{printed}") };

    // One after the other, in one shell.
    let list_again = format!("aws --endpoint-url {} s3 ls", running.url);
    let script = format!(
        "{id}\n{secret}\n{list}\necho \"listed: $?\"\n{disable}\n{list_again}\necho \"disabled: $?\"\n"
    );
    let mut bash = Command::new("bash");
    bare(&mut bash).arg("-c").arg(&script);
    let output = tokio::task::spawn_blocking(move || bash.output().unwrap()).await.unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        stdout.contains("make_bucket: demo") && stdout.contains(" demo\nlisted: 0\n"),
        "{stdout}{stderr}"
    );
    assert!(stdout.contains("\"status\":\"Inactive\""), "{stdout}{stderr}");
    assert!(stderr.contains("InvalidAccessKeyId"), "{stdout}{stderr}");
    assert!(stdout.contains("disabled: ") && !stdout.contains("disabled: 0"), "{stdout}{stderr}");
}
