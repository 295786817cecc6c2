//! Keys with s3cmd, with both signature versions.

use std::process::Command;

use crate::{
    clients::lifecycle::{self, Holder},
    process::Program,
    tools::{bare, has, run},
};

pub async fn s3cmd_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled(
    program: Program,
) {
    uses_keys(program, &[], &[]).await;
}

pub async fn s3cmd_uses_a_key_with_signature_version_2(program: Program) {
    uses_keys(program, &["--signature-v2"], &["--signature-v2"]).await;
}

/// Runs s3cmd with arguments for the server and for the client.
async fn uses_keys(program: Program, server: &[&str], client: &[&str]) {
    if !has("s3cmd", Command::new("s3cmd").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    // Large enough for a multipart upload.
    let content: Vec<u8> = (0..=250).cycle().take(12 << 20).collect();
    std::fs::write(&up, &content).unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());

    lifecycle::check_keys(program, server, async |holder| {
        let s3cmd = |arguments: &[&str]| {
            let mut command = Command::new("s3cmd");
            let host = holder.host();
            bare(&mut command).args(["--config", "/dev/null", "--no-ssl", "--no-progress"]);
            command.args(["--host", host, "--host-bucket", host, "--region", "us-east-1"]);
            command.args(["--access_key", &holder.key.access]);
            command.args(["--secret_key", &holder.key.secret]);
            command.args(client).args(arguments);
            run(command)
        };
        let Holder { bucket, .. } = &holder;
        let listed = s3cmd(&["ls"]).await?;
        if !listed.contains(&format!("s3://{bucket}\n")) {
            s3cmd(&["mb", &format!("s3://{bucket}")]).await.unwrap();
        }
        let object = |name: &str| format!("s3://{bucket}/{name}");
        s3cmd(&["put", "--multipart-chunk-size-mb=5", up, &object("large")]).await.unwrap();
        s3cmd(&["get", "--force", &object("large"), down]).await.unwrap();
        assert!(std::fs::read(down).unwrap() == content);
        s3cmd(&["put", "--disable-multipart", up, &object("sp äce+")]).await.unwrap();
        s3cmd(&["cp", &object("sp äce+"), &object("copy")]).await.unwrap();
        let listed = s3cmd(&["ls", &object("")]).await.unwrap();
        for name in ["copy", "large", "sp äce+"] {
            assert!(listed.contains(&format!("{}  {}\n", 12 << 20, object(name))), "{listed}");
        }
        s3cmd(&["del", "--recursive", "--force", &object("")]).await.unwrap();
        assert_eq!(s3cmd(&["ls", &object("")]).await.unwrap(), "");
        Ok(())
    })
    .await;
}
