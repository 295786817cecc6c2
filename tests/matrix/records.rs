//! The records that are in the store before each request.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tower_credentials::{
    backend::{CredentialBackend, memory::MemoryBackend},
    domain::{
        AccessKey, Blob, Credential, CredentialId, Delegation, Kind, Life, Material, ProjectId,
        Quota, SecretKey, SecretText, Slot, Status, UserId, Version,
    },
};

use crate::{
    facts::{ALICE, AWAY, BOB, CAROL, DAVE, FRANK, GHOST, HOME, TWIN, VOID},
    limits::{Limits, time},
    oracle::Made,
};

/// The content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A v3 key pair, as text.
    Blob,
    /// A v2 grant whose name is its access key.
    Grant(Slot),
    /// A v2 grant without an access key, because another record has its name as access key.
    GrantWithoutKey(Slot),
    /// A key pair of IBM's dialect or OS-EC2.
    Pair,
    /// A credential that is not a key pair.
    Totp,
}

/// A record, as the oracle sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    /// Its access key, its grant's name, or its id.
    pub(crate) name: &'static str,
    pub(crate) user: &'static str,
    pub(crate) project: Option<&'static str>,
    pub(crate) form: Form,
    /// Whether it is a root key by the rules.
    pub(crate) root: bool,
    /// Its stored mark as a root key.
    mark: Option<bool>,
    pub(crate) delegation: Option<Delegation>,
    pub(crate) active: bool,
    pub(crate) limits: Limits,
}

impl Seed {
    fn new(name: &'static str, user: &'static str, project: Option<&'static str>) -> Self {
        Self {
            name,
            user,
            project,
            form: Form::Pair,
            root: false,
            mark: Some(false),
            delegation: None,
            active: true,
            limits: Limits::NONE,
        }
    }

    fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    fn root(self) -> Self {
        Self { root: true, mark: Some(true), ..self }
    }

    /// Removes the mark, as in records of earlier releases.
    fn unmarked(self, root: bool) -> Self {
        Self { root, mark: None, ..self }
    }

    /// Whether it can be looked up by its access key.
    pub(crate) fn has_access_key(&self) -> bool {
        matches!(self.form, Form::Blob | Form::Grant(_) | Form::Pair)
    }

    /// The user that owns it; a root key belongs to no user.
    pub(crate) fn owner(&self) -> Option<&'static str> {
        (!self.root).then_some(self.user)
    }

    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.form {
            Form::Grant(slot) | Form::GrantWithoutKey(slot) => Some(slot),
            Form::Blob | Form::Pair | Form::Totp => None,
        }
    }

    pub(crate) fn made(&self) -> Made {
        let Self { user, project, root, active, .. } = *self;
        let (slot, delegation) = (self.slot(), self.delegation.clone());
        let (end, bounded) = (self.limits.end_micros(), self.limits.bounded);
        let ec2 = self.form != Form::Totp;
        Made { user, project, root, active, ec2, slot, delegation, end, bounded }
    }

    pub(crate) fn secret(&self) -> String {
        // Long enough for the parent of a session.
        format!("secret-of-{}.0123456789abcdefghijkl", self.name)
    }

    /// Its id in v3.
    pub(crate) fn id(&self) -> CredentialId {
        match self.form {
            Form::Totp => CredentialId::from_stored(self.name),
            _ => CredentialId::of(&AccessKey::from_stored(self.name)),
        }
    }

    /// The blob of a v3 request that changes it.
    pub(crate) fn blob(&self) -> String {
        if self.form == Form::Totp {
            self.secret()
        } else {
            let mut blob = json!({"access": self.name, "secret": self.secret()});
            if let Some(Delegation::Trust { id }) = &self.delegation {
                blob["trust_id"] = id.as_str().into();
            }
            blob.to_string()
        }
    }

    pub(crate) fn stored(&self) -> Arc<Credential> {
        let secret = || SecretKey::new(self.secret()).unwrap();
        let kind = if self.form == Form::Totp { Kind::new("totp").unwrap() } else { Kind::ec2() };
        let material = match self.form {
            Form::Blob | Form::Totp => Material::Blob(Blob::new(self.blob())),
            Form::Grant(_) | Form::GrantWithoutKey(_) => Material::Grant {
                username: self.name.into(),
                secret: secret(),
                signature: SecretText::new(""),
            },
            Form::Pair => Material::KeyPair { secret: Some(secret()) },
        };
        let (user, now) = (UserId::new(self.user).unwrap(), time(-self.limits.age * 1_000_000));
        let mut record =
            Credential::new(self.id(), kind, user, material, now, Version::from_stored(7));
        record.project_id = self.project.map(|id| ProjectId::new(id).unwrap());
        record.access_key = self.has_access_key().then(|| AccessKey::new(self.name).unwrap());
        record.slot = self.slot();
        record.root_key = self.mark;
        record.delegation.clone_from(&self.delegation);
        record.status = if self.active { Status::Active } else { Status::Inactive };
        self.limits.apply(&mut record);
        Arc::new(record)
    }
}

/// Every record of the matrix. A record's number is its index.
pub(crate) fn all() -> Vec<Seed> {
    let trust = Some(Delegation::Trust { id: "t".into() });
    let life = Life::For(Duration::from_secs(400));
    let limited = Limits::ending(100, 400).bounded();
    let by_trust = Seed::new("own-limited-by-trust", ALICE, Some(HOME)).form(Form::Blob);
    vec![
        Seed::new("own", ALICE, Some(HOME)),
        Seed::new("own-blob", ALICE, Some(HOME)).form(Form::Blob),
        Seed { active: false, ..Seed::new("own-inactive", ALICE, Some(HOME)) },
        Seed::new("own-away", ALICE, Some(AWAY)),
        Seed::new("own-void", ALICE, Some(VOID)),
        Seed::new("own-nowhere", ALICE, None).form(Form::Blob),
        Seed::new("own-totp", ALICE, None).form(Form::Totp),
        Seed::new("own-totp-home", ALICE, Some(HOME)).form(Form::Totp),
        Seed { delegation: trust.clone(), ..Seed::new("own-by-trust", ALICE, Some(HOME)) },
        Seed::new("own-slot", ALICE, Some(HOME)).form(Form::Grant(Slot::Ec2)),
        Seed::new("bobs", BOB, Some(HOME)),
        Seed::new("bobs-nowhere", BOB, None),
        Seed::new("bobs-totp", BOB, None).form(Form::Totp),
        Seed::new("bobs-totp-home", BOB, Some(HOME)).form(Form::Totp),
        Seed::new("bobs-slot", BOB, Some(HOME)).form(Form::Grant(Slot::S3)),
        Seed::new("bobs-keyless", BOB, Some(HOME)).form(Form::GrantWithoutKey(Slot::Ec2)),
        Seed::new("carols", CAROL, Some(AWAY)),
        Seed::new("carols-slot", CAROL, Some(AWAY)).form(Form::Grant(Slot::Ec2)),
        Seed::new("franks-home", FRANK, Some(HOME)),
        Seed::new("franks-away", FRANK, Some(AWAY)),
        Seed::new("daves-home", DAVE, Some(HOME)).form(Form::Blob),
        Seed::new("ghosts-home", GHOST, Some(HOME)),
        Seed::new("root-home", HOME, Some(HOME)).root(),
        Seed::new("root-home-unmarked", HOME, Some(HOME)).unmarked(true),
        Seed::new("blob-of-home", HOME, Some(HOME)).form(Form::Blob).unmarked(false),
        Seed::new("root-away", AWAY, Some(AWAY)).root(),
        Seed::new("root-twin", TWIN, Some(TWIN)).root(),
        Seed::new("twins", TWIN, Some(TWIN)),
        Seed::new("twins-blob", TWIN, Some(TWIN)).form(Form::Blob).unmarked(false),
        Seed::new("twins-home", TWIN, Some(HOME)),
        // Records with limits.
        Seed::new("own-ending", ALICE, Some(HOME)).limited(Limits::ending(100, 500)),
        Seed::new("own-expired", ALICE, Some(HOME)).limited(Limits::ending(200, -100)),
        Seed::new("own-bounded", ALICE, Some(HOME)).limited(Limits::NONE.bounded()),
        Seed { delegation: trust, ..by_trust.limited(limited) },
        Seed::new("own-retired", ALICE, Some(HOME))
            .limited(Limits::ending(100, 250).retired(Life::Unlimited)),
        Seed::new("bobs-retired", BOB, Some(HOME))
            .limited(Limits::ending(100, 200).retired(life).bounded()),
    ]
}

/// A store with these records.
pub(crate) async fn store(records: &[Arc<Credential>]) -> MemoryBackend {
    let store = MemoryBackend::default();
    for record in records {
        store.insert(record, Quota::Unlimited).await.unwrap();
    }
    store
}
