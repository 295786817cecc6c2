//! The program in a root with only its own files, as in docs/operation/Containerfile.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use test_support::{
    clients::rusty_s3::Store, keys::mint, process::Server, serving::health::ready_with, tools::has,
};

use crate::ACCESSER;

/// The user of the image.
const USER: u32 = 65_532;

#[tokio::test]
async fn program_serves_from_an_empty_root_as_another_user() {
    let is_root = "test $(id -u) = 0 && chroot --version && ldd --version";
    if !has("chroot for root", Command::new("sh").args(["-c", is_root])) {
        return;
    }
    let server = Server::new(ACCESSER);
    let root = server.home().join("root");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/image-root");
    let made = Command::new(script).arg(ACCESSER.path).arg(&root).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::create_dir(root.join("data")).unwrap();
    chown(root.join("data"), Some(USER), Some(USER)).unwrap();
    let files = files(&root);
    assert!(files.len() < 20, "{files:#?}");
    assert!(!root.join("bin/sh").exists() && !root.join("etc").exists());

    let user = format!("--userspec={USER}:{USER}");
    let root = root.to_str().unwrap().to_owned();
    let wrapper = ["chroot", "--groups=", &user, &root];
    let mut running = server.data_in("/data".as_ref()).under(&wrapper).start().await;
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    assert!(status.contains(&format!("\nUid:\t{USER}\t{USER}\t{USER}\t{USER}\n")), "{status}");
    let client = running.client();
    ready_with(&client, 200, "store: ok\nfeed: ok\n").await;
    let key = mint(&client, "dev-alice").await;
    let store = Store::new(&client, &running.url, "bucket", &key);
    store.create().await.expect(200);
    store.put("object", "content").await.expect(200);
    assert_eq!(store.get("object").await.expect(200).text(), "content");
    running.stop().await;
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
