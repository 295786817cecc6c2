//! Ids that look like the id of a user or a project are different ids, wherever they appear.

use serde_json::{Value, json};
use tower_credentials::{
    directory::{Project, User},
    domain::{ProjectId, UserId},
};

use crate::world::{
    DEMO, World, directory, pair, percent_encoded, tokens,
    v3::{CREDENTIALS, ec2, ec2_path},
};
use tower_credentials::{auth::StaticTokens, backend::memory::MemoryBackend, domain::Caller};

/// The id of the user, in composed form (NFC).
const ZOE: &str = "zo\u{eb}";

/// Texts that a loose comparison confuses with the id.
fn lookalikes(id: &str) -> Vec<String> {
    vec![
        id.to_uppercase(),
        format!("{id}."),
        format!("{id} "),
        format!(" {id}"),
        percent_encoded(id),
        format!("{id}\u{200b}"),
        format!("{id}%00"),
        // In decomposed form (NFD).
        id.replace('\u{eb}', "e\u{308}"),
    ]
}

fn world() -> World {
    let (zoe, demo) = (UserId::new(ZOE).unwrap(), ProjectId::new("zo\u{eb}-demo").unwrap());
    let users = directory()
        .with_user(User::new(zoe.clone(), "zoe"))
        .with_project(Project::new(demo.clone(), "demo"))
        .with_member(zoe.clone(), demo.clone(), ["member"])
        .with_member(zoe.clone(), ProjectId::new(DEMO).unwrap(), ["member"]);
    let scope = tower_credentials::domain::Scope::Project(demo);
    let roles = ["member", "key_management_user", "key_listing_user"];
    let tokens: StaticTokens =
        tokens().with_token("zoe", "zoe", Caller::new(zoe, scope).with_roles(roles));
    World::of(tokens, std::sync::Arc::new(MemoryBackend::default()), |builder| {
        builder.directory(users)
    })
}

/// The creates of every dialect for this user in this project.
fn creates(user: &str, project: &str) -> [(String, Value); 4] {
    let tenant = json!({"tenant_id": project});
    let path = percent_encoded(user);
    [
        ("/credentials".into(), pair(user, project, "k")),
        (CREDENTIALS.into(), ec2(user, project, "k")),
        (ec2_path(&path, ""), tenant.clone()),
        (format!("/v2.0/users/{path}/credentials/OS-EC2"), tenant),
    ]
}

#[tokio::test]
async fn lookalike_user_id_is_another_user_in_every_dialect() {
    let world = world();
    let project = "zo\u{eb}-demo";
    for (uri, body) in creates(ZOE, project) {
        let made = world.post(&uri).token("zoe").json(&body).send().await;
        assert_eq!(made.status, 201, "{uri}: {}", made.text());
        if let Some(record) = world.stored("k").await {
            assert!(world.backend.delete(&record.id, record.version).await.unwrap());
        }
    }
    for user in lookalikes(ZOE).into_iter().filter(|user| user != ZOE) {
        for (uri, body) in creates(&user, project) {
            for (token, expected) in [("zoe", 403), ("dev-admin", 404)] {
                let refused = world.post(&uri).token(token).json(&body).send().await;
                // A path with a control character in an id is a bad request.
                let bad = [400, expected].contains(&refused.status.as_u16());
                assert!(bad, "{token} {user:?} {uri}: {}", refused.status);
            }
        }
        assert!(world.stored("k").await.is_none(), "{user:?}");
    }
}

#[tokio::test]
async fn lookalike_project_id_is_another_project_in_every_dialect() {
    let world = world();
    for project in lookalikes("zo\u{eb}-demo") {
        for (uri, body) in creates(ZOE, &project) {
            for (token, expected) in [("zoe", 403), ("dev-admin", 404)] {
                let refused = world.post(&uri).token(token).json(&body).send().await;
                let status = refused.status.as_u16();
                assert_eq!(status, expected, "{token} {project:?} {uri}");
            }
        }
        assert!(world.stored("k").await.is_none(), "{project:?}");
        let uri = format!(
            "/credentials?user_id={}&project_id={}",
            percent_encoded(ZOE),
            percent_encoded(&project)
        );
        assert_eq!(world.get(&uri).token("zoe").send().await.status, 403, "{project:?}");
    }
}
