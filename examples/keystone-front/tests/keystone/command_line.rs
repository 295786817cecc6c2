//! The OpenStack command line, with Keystone directly and through the front.

use serde_json::{Value, json};

#[cfg(feature = "tls")]
use crate::secret_file;
use crate::{
    front::Front,
    lab,
    normal::{Names, differences, json_of},
    people::{User, unique},
    tools::CommandLine,
};

/// Runs all commands; returns their normalized output. `authority` is the file of the authority to
/// trust, or empty.
async fn session(
    url: &str,
    authority: &str,
    region: &str,
    user: &User,
    project: &str,
) -> Vec<Value> {
    let url_v3 = format!("{url}/v3");
    let mut openstack = CommandLine::new(&[
        ("OS_CACERT", authority),
        ("OS_AUTH_URL", &url_v3),
        // After the login it uses the URL in the catalog.
        ("OS_REGION_NAME", region),
        ("OS_USERNAME", &user.name),
        ("OS_PASSWORD", &user.password),
        ("OS_PROJECT_ID", project),
        ("OS_USER_DOMAIN_ID", "default"),
    ]);
    let mut names = Names::new();
    let mut outputs = Vec::new();
    let mut note = |result: Result<Value, String>, names: &Names| {
        let known = match result {
            Ok(value) => value,
            // The message is specific to the server.
            Err(_) => json!("refused"),
        };
        outputs.push(json_of(known, url, names));
    };

    let blob = json!({"access": unique("key"), "secret": "s"}).to_string();
    let create = ["credential", "create", "--type", "ec2", "--project", project, &user.id, &blob];
    let made = openstack.run(&[&create[..], &["-f", "json"]].concat()).await;
    let id = made.as_ref().unwrap()["id"].as_str().unwrap().to_owned();
    names.insert("blob".into(), blob.clone());
    names.insert("id".into(), id.clone());
    note(made, &names);
    note(openstack.run(&["credential", "list", "-f", "json"]).await, &names);
    note(openstack.run(&["credential", "list", "--type", "cert", "-f", "json"]).await, &names);
    note(openstack.run(&["credential", "show", &id, "-f", "json"]).await, &names);
    let set = ["credential", "set", "--type", "ec2", "--data", &blob, "--user", &user.id, &id];
    note(openstack.run(&set).await, &names);
    note(openstack.run(&["credential", "delete", &id]).await, &names);
    note(openstack.run(&["credential", "show", &id, "-f", "json"]).await, &names);

    let made = openstack.run(&["ec2", "credentials", "create", "-f", "json"]).await;
    let made_up = |name: &str| made.as_ref().unwrap()[name].as_str().unwrap().to_owned();
    let access = made_up("access");
    names.insert("access".into(), access.clone());
    names.insert("secret".into(), made_up("secret"));
    note(made, &names);
    note(openstack.run(&["ec2", "credentials", "list", "-f", "json"]).await, &names);
    note(openstack.run(&["ec2", "credentials", "show", &access, "-f", "json"]).await, &names);
    note(openstack.run(&["ec2", "credentials", "delete", &access]).await, &names);
    note(openstack.run(&["ec2", "credentials", "list", "-f", "json"]).await, &names);
    outputs
}

/// Runs all commands with Keystone directly and through a front with these options, and compares
/// the output.
async fn compare(arguments: &[&str], authority: &str) {
    let Some(turn) = lab::shared().await else { return };
    let admin = turn.lab.admin().await;
    let project = admin.project("project").await;
    let (user, _) = admin.member(&project).await;
    let front = Front::of(turn.lab).start(arguments).await;
    let region = admin.region(&front.url).await;
    let keystone = session(&turn.lab.url, "", "RegionOne", &user, &project).await;
    let through = session(&front.url, authority, &region, &user, &project).await;
    assert_eq!(keystone.len(), through.len());
    for (at, (keystone, through)) in keystone.iter().zip(&through).enumerate() {
        let found = differences(keystone, through);
        if at == 4 {
            // Keystone accepts only a blob, and this command also sends a type.
            assert_eq!((keystone, through), (&json!("refused"), &Value::Null));
            continue;
        }
        let found: Vec<_> = found.keys().filter(|path| !path.ends_with("access")).collect();
        assert!(found.is_empty(), "command {at}: {found:?}\n{keystone}\n{through}");
    }
}

#[tokio::test]
async fn openstack_client_has_the_same_output_through_the_front() {
    compare(&[], "").await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn openstack_client_has_the_same_output_through_the_front_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = test_support::tls::authority::Authority::new();
    let [root, cert, key] =
        ["root.pem", "cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let pair = authority.issue(1);
    secret_file::write(&key, pair.key);
    std::fs::write(&cert, pair.cert).unwrap();
    std::fs::write(&root, authority.pem()).unwrap();
    let [root, cert, key] = [&root, &cert, &key].map(|path| path.to_str().unwrap());
    compare(&["--tls-cert", cert, "--tls-key", key], root).await;
}
