//! Keys with rclone.

use std::process::Command;

use crate::{
    clients::lifecycle::{self, Holder},
    process::Program,
    tools::{bare, has, run},
};

pub async fn rclone_uses_a_key_of_any_origin_until_it_is_disabled_and_after_it_is_enabled(
    program: Program,
) {
    if !has("rclone", Command::new("rclone").arg("version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (up, down) = (folder.path().join("up"), folder.path().join("down"));
    std::fs::create_dir_all(up.join("a folder")).unwrap();
    std::fs::write(up.join("a folder/smäll"), "small").unwrap();
    // Large enough for a multipart upload.
    let content: Vec<u8> = (0..=250).cycle().take(12 << 20).collect();
    std::fs::write(up.join("large"), &content).unwrap();
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());

    lifecycle::check_keys(program, &[], async |Holder { url, bucket, key }| {
        let rclone = |arguments: &[&str]| {
            let mut command = Command::new("rclone");
            bare(&mut command).args([
                "--config",
                "/dev/null",
                "--retries",
                "1",
                "--low-level-retries",
                "1",
            ]);
            command.args(["--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi"]);
            // `s3s-fs` does not support the empty delimiter of recursive lists.
            command.args(["--disable", "ListR"]);
            let settings = [
                ("TYPE", "s3"),
                ("PROVIDER", "Other"),
                ("REGION", "us-east-1"),
                ("ENDPOINT", &url),
                ("ACCESS_KEY_ID", &key.access),
                ("SECRET_ACCESS_KEY", &key.secret),
            ];
            for (name, value) in settings {
                command.env(format!("RCLONE_CONFIG_STORE_{name}"), value);
            }
            command.args(arguments);
            run(command)
        };
        rclone(&["lsd", "store:"]).await?;
        let all = format!("store:{bucket}");
        let object = |name: &str| format!("{all}/{name}");
        rclone(&["mkdir", &all]).await.unwrap();
        rclone(&["copy", up, &all]).await.unwrap();
        let output = rclone(&["check", "--download", up, &all]).await.unwrap();
        assert!(output.contains("2 matching files"), "{output}");
        rclone(&["copyto", &object("large"), &object("copy")]).await.unwrap();
        rclone(&["moveto", &object("copy"), &object("moved")]).await.unwrap();
        let listed = rclone(&["lsf", "-R", &all]).await.unwrap();
        let mut names: Vec<_> = listed.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["a folder/", "a folder/smäll", "large", "moved"]);
        rclone(&["sync", &all, down]).await.unwrap();
        assert!(std::fs::read(format!("{down}/moved")).unwrap() == content);
        assert_eq!(std::fs::read(format!("{down}/a folder/smäll")).unwrap(), b"small");
        rclone(&["delete", &all]).await.unwrap();
        assert_eq!(rclone(&["lsf", "--files-only", "-R", &all]).await.unwrap(), "");
        Ok(())
    })
    .await;
}
