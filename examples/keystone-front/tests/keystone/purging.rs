//! Deletions of users and projects purge their keys.

use http::Method;
use serde_json::json;

use crate::{front::Front, lab};

#[tokio::test]
async fn deletion_of_a_user_or_project_purges_keys() {
    let Some(turn) = lab::shared().await else { return };
    let admin = turn.lab.admin().await;
    let (home, other) = (admin.project("home").await, admin.project("other").await);
    let (ann, member) = admin.member(&home).await;
    let (bob, second) = admin.member(&home).await;
    let front = Front::of(turn.lab).start(&[]).await;
    let through = front.client();

    let pairs = |user: &str| format!("/v3/users/{user}/credentials/OS-EC2");
    for (user, token) in [(&ann.id, &member), (&bob.id, &second)] {
        for project in [&home, &other] {
            let tenant = json!({"tenant_id": project});
            through.post(&pairs(user), token, &tenant).await.expect(201);
        }
    }
    let left = async || {
        let list = through.get("/v3/credentials?type=ec2", &admin.token).await.expect(200).json();
        let list = list["credentials"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        list.map(|found| (text(&found["user_id"]), text(&found["project_id"]))).collect::<Vec<_>>()
    };
    assert_eq!(left().await.len(), 4);

    let user = format!("/v3/users/{}", ann.id);
    through.call(Method::DELETE, &user, &admin.token, None).await.expect(204);
    admin.call(Method::GET, &user, None).await.expect(404);
    let mut owned = [(bob.id.clone(), home.clone()), (bob.id.clone(), other.clone())];
    let mut found = left().await;
    found.sort();
    owned.sort();
    assert_eq!(found, owned);

    let project = format!("/v3/projects/{other}");
    through.call(Method::DELETE, &project, &admin.token, None).await.expect(204);
    assert_eq!(left().await, [(bob.id.clone(), home.clone())]);

    // A rejected deletion purges nothing.
    let project = format!("/v3/projects/{home}");
    through.call(Method::DELETE, &project, &second, None).await.expect(403);
    assert_eq!(left().await, [(bob.id, home)]);
}
