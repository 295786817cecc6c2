//! Sessions of keys, and the keys that keys create over IAM.

use std::time::Duration;

use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    clock::Clock,
    domain::{AccessKey, Credential},
    session::{Holder, Session, SessionCredentials},
};

use crate::{
    counting::Report,
    facts::{Facts, Setting},
    oracle::{Plane, owner_is_valid},
    planes::{Iam, Planes, Signed, Use},
    running::Minted,
};

/// A policy that does not allow the requests of the data planes.
const ELSEWHERE: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::elsewhere/*"}}"#;

/// The stage at which every plane is checked. Later ones are about the directory.
pub(crate) const AT_THE_START: &str = "at the start";

const CREATE: &str = "Action=CreateAccessKey&Version=2010-05-08";

/// A session of a key for a minute, with this policy; `None` if the key can have none.
fn session(planes: &Planes, key: &Credential, policy: Option<&str>) -> Option<SessionCredentials> {
    let (access_key, secret) = (key.access_key.as_ref()?, key.secret_key()?);
    let life = Duration::from_mins(1);
    let now = planes.clock().now();
    if key.terms.expires_at().is_some_and(|end| now + life > end) {
        return None;
    }
    let session = Session::new(access_key, Holder::User, now, life).unwrap();
    let session = match policy {
        Some(policy) => session.with_policy(policy).unwrap(),
        None => session,
    };
    session.mint(secret).ok()
}

/// Uses a session of each key on every data plane.
pub(crate) async fn run(
    setting: Setting,
    stage: &'static str,
    planes: &Planes,
    samples: &[(&Minted, Signed)],
    report: &mut Report,
) {
    for (minted, signed) in samples {
        let Some(credentials) = session(planes, &minted.record, None) else { continue };
        let own = planes.sign_of_session(&credentials);
        // A policy does not depend on the facts.
        let elsewhere = session(planes, &minted.record, Some(ELSEWHERE)).unwrap();
        let elsewhere = (stage == AT_THE_START).then(|| planes.sign_of_session(&elsewhere));
        let serves = |plane: &Plane| {
            elsewhere.is_some() || plane.has_directory() && !plane.returns_signers()
        };
        for plane in Plane::ALL.into_iter().filter(serves) {
            let used = planes.send(plane, &own).await;
            report.count_use("sessions", used.admitted);
            let key = planes.send(plane, signed).await;
            let expected = key.admitted && !plane.returns_signers();
            let fault = if used.admitted && !expected {
                Some("a session is stronger than its key")
            } else if used.admitted != expected {
                Some("a session of a valid key is refused")
            } else if used.admitted && used.signer != key.signer {
                Some("a session has another signer than its key")
            } else {
                None
            };
            let mut add = |fault: &str, used: &Use| {
                let kind = format!("{} {} {stage}: {fault}", setting.name, plane.name());
                let text: String = used.text.chars().take(200).collect();
                report.fault(kind, format!("{:?}: {} {text}", minted.made, used.status));
            };
            if let Some(fault) = fault {
                add(fault, &used);
            }
            if let Some(elsewhere) = &elsewhere
                && planes.send(plane, elsewhere).await.admitted
            {
                add("a session passes outside its policy", &used);
            }
            if minted.made.bounded && !plane.returns_signers() {
                let outside = planes.send_outside(plane, &own).await;
                if outside.admitted {
                    add("a session passes outside the boundary of its key", &outside);
                }
            }
        }
    }
}

/// Lets each key and a session of it create a key over IAM, and uses what they created.
pub(crate) async fn manage_keys(
    setting: Setting,
    planes: &Planes,
    store: &MemoryBackend,
    samples: &[(&Minted, Signed)],
    report: &mut Report,
) {
    for (minted, signed) in samples {
        let key = &minted.record;
        let (access, secret) = (key.access_key.as_ref().unwrap(), key.secret_key().unwrap());
        let credentials = session(planes, key, None);
        for iam in [Iam::Alone, Iam::Members, Iam::Strict] {
            let mut add = |fault: &str, text: &str| {
                let kind = format!("{} IAM {iam:?}: {fault}", setting.name);
                report.fault(kind, format!("{:?}: {text}", minted.made));
            };
            if let Some(session) = &credentials {
                let token = Some(session.session_token.expose());
                let signer = (session.access_key.as_str(), session.secret_key.expose(), token);
                let request = planes.sign_for_iam(signer, CREATE);
                let (status, text) = planes.send_to_iam(iam, request).await;
                if status != 403 {
                    add("a session creates a key", &text);
                }
            }
            let signer = (access.as_str(), secret.expose(), None);
            let request = planes.sign_for_iam(signer, CREATE);
            let (status, text) = planes.send_to_iam(iam, request).await;
            if (status == 200) != creates(iam, minted) {
                add("a key creates a key against the rules", &text);
            }
            if status != 200 {
                continue;
            }
            let between = |start: &str, end: &str| {
                text.split(start).nth(1).unwrap().split(end).next().unwrap().to_owned()
            };
            let access = AccessKey::from_stored(between("<AccessKeyId>", "</AccessKeyId>"));
            let new = store.find_by_access_key(&access).await.unwrap().unwrap();
            let ends = |key: &Credential| key.terms.expires_at();
            let outlives = ends(key).is_some_and(|end| ends(&new).is_none_or(|new| new > end));
            if new.user_id != key.user_id
                || new.project_id != key.project_id
                || new.is_root_key()
                || outlives
            {
                add("a new key differs from the key that created it", &text);
            }
            let used = planes.sign(&new, None);
            for plane in Plane::ALL {
                let by_new = planes.send(plane, &used).await;
                if by_new.admitted && !planes.send(plane, signed).await.admitted {
                    add("a new key is stronger than the key that created it", &by_new.text);
                }
            }
            assert!(store.delete(&new.id, new.version).await.unwrap());
            report.count_use("keys of keys", true);
        }
    }
}

/// Whether a key creates keys, by the rules.
fn creates(iam: Iam, minted: &Minted) -> bool {
    let made = &minted.made;
    // A new key of a user with the id of the project would be a root key.
    let is_users = !made.root && Some(made.user) != made.project;
    let unlimited = !made.bounded && made.delegation.is_none() && is_users;
    let is_valid = made.active && made.ec2 && made.end.is_none_or(|end| end > 0);
    // A new key cannot end within a minute.
    let has_time = made.end.is_none_or(|end| end >= 60_000_000);
    let by_roles = match iam {
        Iam::Alone => true,
        Iam::Members => owner_is_valid(&Facts::new(), made) && has_role(minted),
        Iam::Strict => false,
    };
    unlimited && is_valid && has_time && made.project.is_some() && by_roles
}

/// Whether the owner has the role of a member in the project of the key.
fn has_role(minted: &Minted) -> bool {
    let made = &minted.made;
    made.project.is_some_and(|project| Facts::new().has_role(made.user, project))
}
