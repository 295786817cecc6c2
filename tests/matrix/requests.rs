//! Builds the HTTP request of each operation.

use serde_json::{Value, json};
use tower_credentials::domain::Slot;

use crate::{
    limits::{END, OVERLAP, boundary},
    operations::{Halves, MISSING, Named, Operation, Overlap, Prefix, Which},
    records::Seed,
    signer::{ec2_v4, s3_v4},
    world::{
        Call, World,
        v3::{EC2TOKENS, S3TOKENS},
    },
};

/// The key pair of a create whose client chooses the keys.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) access: String,
    pub(crate) secret: String,
}

impl Chosen {
    /// The pair of the cell with this number.
    pub(crate) fn new(cell: usize) -> Self {
        Self {
            access: format!("key-{cell}"),
            secret: format!("fresh-secret-{cell}.0123456789abcdefghijkl"),
        }
    }

    fn blob(&self) -> Value {
        json!({"access": self.access, "secret": self.secret})
    }
}

fn v3_id(records: &[Seed], which: Which) -> String {
    match which {
        Which::Missing => MISSING.into(),
        Which::Record(number) => records[number].id().to_string(),
    }
}

fn access(records: &[Seed], which: Which) -> &'static str {
    match which {
        Which::Missing => MISSING,
        Which::Record(number) => records[number].name,
    }
}

fn v2_path(user: &str, slots: &[Slot]) -> String {
    let collection = format!("/v2.0/users/{user}/OS-KSADM/credentials");
    slots.iter().fold(collection, |path, slot| path + "/" + root(*slot))
}

/// The root member of a v2 type.
pub(crate) fn root(slot: Slot) -> &'static str {
    match slot {
        Slot::Ec2 => "OS-KSEC2-ec2Credentials",
        Slot::Password => "passwordCredentials",
        Slot::S3 => "OS-KSS3:s3Credentials",
    }
}

fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let named = pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    let named = named.collect::<Vec<_>>().join("&");
    if named.is_empty() { named } else { format!("?{named}") }
}

fn ec2_path(prefix: Prefix, user: &str, rest: &str) -> String {
    let prefix = match prefix {
        Prefix::V2 => "/v2.0",
        Prefix::V3 => "/v3",
    };
    format!("{prefix}/users/{user}/credentials/OS-EC2{rest}")
}

/// The request of an operation, without a token.
pub(crate) fn call(
    world: &World,
    records: &[Seed],
    operation: &Operation,
    chosen: &Chosen,
) -> Call {
    let one = |which| format!("/credentials/{}", access(records, which));
    let v3_one = |which| format!("/v3/credentials/{}", v3_id(records, which));
    match *operation {
        Operation::IbmCreate { user, project, halves, inactive } => {
            world.post("/credentials").json(&ibm_body(user, project, halves, inactive, chosen))
        }
        Operation::IbmCreateLimited { user, project } => {
            let mut body = ibm_body(Some(user), Some(project), Halves::Both, false, chosen);
            limit(&mut body);
            world.post("/credentials").json(&body)
        }
        Operation::IbmDelete(which) => world.delete(&one(which)),
        Operation::IbmList { user, project } => {
            let query = query(&[("user_id", user), ("project_id", project)]);
            world.get(&format!("/credentials{query}"))
        }
        Operation::IbmRotate(which, overlap) => rotation(world, &one(which), overlap),
        Operation::IbmShow(which) => world.get(&one(which)),
        Operation::IbmUpdate(which) => {
            let body = json!({"credential": {"blob": {"status": "Inactive"}}});
            world.patch(&one(which)).json(&body)
        }
        Operation::IbmUpdateToNull(which) => {
            let body = json!({"credential": {"blob": {"status": null}}});
            world.patch(&one(which)).json(&body)
        }
        Operation::IbmUpdateTerms(which) => world.patch(&one(which)).json(&change_of_terms()),
        Operation::Validate { number, ec2 } => validate(world, &records[number], ec2),
        Operation::V2Delete(user, slot) => world.delete(&v2_path(user, &[slot])),
        Operation::V2Get(user, slot) => world.get(&v2_path(user, &[slot])),
        Operation::V2Grant { user, slot, xml } => {
            let call = world.post(&v2_path(user, &[]));
            if xml {
                call.header("accept", "application/xml").xml(&v2_xml(chosen))
            } else {
                call.json(&v2_body(slot, &chosen.access, &chosen.secret))
            }
        }
        Operation::V2List(user) => world.get(&v2_path(user, &[])),
        Operation::V2ListByType(user, slot) => world.get(&v2_path(user, &[slot, slot])),
        Operation::V2Update(user, slot) => {
            let granted = |record: &&Seed| record.user == user && record.slot() == Some(slot);
            let name = records.iter().find(granted).map_or(MISSING, |record| record.name);
            world.post(&v2_path(user, &[slot])).json(&v2_body(slot, name, &chosen.secret))
        }
        Operation::V3Create { user, project, ec2 } => {
            world.post("/v3/credentials").json(&v3_body(user, project, ec2, chosen))
        }
        Operation::V3CreateLimited { user, project } => {
            let mut body = v3_body(user, Named::Project(project), true, chosen);
            limit(&mut body);
            world.post("/v3/credentials").json(&body)
        }
        Operation::V3Delete(which) => world.delete(&v3_one(which)),
        Operation::V3List { user, kind } => {
            world.get(&format!("/v3/credentials{}", query(&[("user_id", user), ("type", kind)])))
        }
        Operation::V3Rotate(which, overlap) => rotation(world, &v3_one(which), overlap),
        Operation::V3Show(which) => world.get(&v3_one(which)),
        Operation::V3Update(which) => {
            let blob = match which {
                Which::Missing => "{}".into(),
                Which::Record(number) => records[number].blob(),
            };
            world.patch(&v3_one(which)).json(&json!({"credential": {"blob": blob}}))
        }
        Operation::V3UpdateStatus(which) => {
            let active = matches!(which, Which::Record(number) if records[number].active);
            let status = if active { "Inactive" } else { "Active" };
            world.patch(&v3_one(which)).json(&json!({"credential": {"status": status}}))
        }
        Operation::V3UpdateTerms(which) => world.patch(&v3_one(which)).json(&change_of_terms()),
        Operation::Ec2Create { prefix, user, project } => {
            let body = project.map_or(json!({}), |id| json!({"tenant_id": id}));
            world.post(&ec2_path(prefix, user, "")).json(&body)
        }
        Operation::Ec2CreateLimited { user, project } => {
            let mut body = json!({"tenant_id": project, "name": "limited"});
            (body["expires_at"], body["boundary"]) = (END.into(), boundary());
            world.post(&ec2_path(Prefix::V3, user, "")).json(&body)
        }
        Operation::Ec2Delete { prefix, user, which } => {
            world.delete(&ec2_path(prefix, user, &format!("/{}", access(records, which))))
        }
        Operation::Ec2List { prefix, user } => world.get(&ec2_path(prefix, user, "")),
        Operation::Ec2Rotate { user, which, overlap } => {
            let path = ec2_path(Prefix::V3, user, &format!("/{}", access(records, which)));
            rotation(world, &path, overlap)
        }
        Operation::Ec2Show { prefix, user, which } => {
            world.get(&ec2_path(prefix, user, &format!("/{}", access(records, which))))
        }
    }
}

fn rotation(world: &World, path: &str, overlap: Overlap) -> Call {
    let seconds = if overlap == Overlap::None { 0 } else { OVERLAP };
    world.post(&format!("{path}/rotate")).json(&json!({"overlap_seconds": seconds}))
}

fn change_of_terms() -> Value {
    let mut body = json!({"credential": {"name": "limited"}});
    limit(&mut body);
    body
}

/// Adds an expiry and a boundary to the credential.
fn limit(body: &mut Value) {
    let credential = &mut body["credential"];
    (credential["expires_at"], credential["boundary"]) = (END.into(), boundary());
}

fn validate(world: &World, seed: &Seed, ec2: bool) -> Call {
    // The time at which the clock starts.
    let (time, scope) = ("20160318T005604Z", "20160318/us-east-1/s3/aws4_request");
    let (access, secret) = (seed.name, seed.secret());
    if ec2 {
        world.post(EC2TOKENS).json(&ec2_v4(access, &secret, time, scope))
    } else {
        world.post(S3TOKENS).json(&s3_v4(access, &secret, time, scope))
    }
}

fn ibm_body(
    user: Option<&str>,
    project: Option<&str>,
    halves: Halves,
    inactive: bool,
    chosen: &Chosen,
) -> Value {
    let mut credential = json!({"type": "ec2"});
    if let Some(user) = user {
        credential["user_id"] = user.into();
    }
    if let Some(project) = project {
        credential["project_id"] = project.into();
    }
    if halves == Halves::Both {
        credential["blob"] = chosen.blob();
        if inactive {
            credential["blob"]["status"] = "Inactive".into();
        }
    }
    json!({"credential": credential})
}

fn v2_body(slot: Slot, name: &str, secret: &str) -> Value {
    if slot == Slot::Password {
        return json!({root(slot): {"username": name, "password": secret}});
    }
    json!({root(slot): {"username": name, "secret": secret, "signature": ""}})
}

fn v2_xml(chosen: &Chosen) -> String {
    let namespace = "http://docs.openstack.org/identity/api/ext/OS-KSS3/v1.0";
    let Chosen { access, secret } = chosen;
    format!(
        "<s3Credentials xmlns=\"{namespace}\" username=\"{access}\" key=\"{secret}\" signature=\"\"/>"
    )
}

fn v3_body(user: &str, project: Named, ec2: bool, chosen: &Chosen) -> Value {
    let mut credential = json!({"user_id": user});
    if ec2 {
        credential["type"] = "ec2".into();
        credential["blob"] = chosen.blob().to_string().into();
    } else {
        credential["type"] = "totp".into();
        credential["blob"] = chosen.secret.as_str().into();
    }
    match project {
        Named::Absent => {}
        Named::Null => credential["project_id"] = Value::Null,
        Named::Project(id) => credential["project_id"] = id.into(),
    }
    json!({"credential": credential})
}
