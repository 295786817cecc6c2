//! Responses name the operation that gave them.

use crate::world::{
    BOB,
    v3::{CREDENTIALS, EC2TOKENS, S3TOKENS, Signing, credential_path, ec2_path, id_of, world},
};

#[tokio::test]
async fn each_response_of_the_layer_has_the_route_of_its_operation() {
    let world = Signing::new().await.world;
    let grants = format!("/v2.0/users/{BOB}/OS-KSADM/credentials");
    let (grant, by_type) = (format!("{grants}/OS-KSS3:s3Credentials"), format!("{grants}/a/a"));
    let (one, rotation) = (credential_path(&id_of("b")), credential_path(&id_of("b")) + "/rotate");
    let (pairs, pair) = (ec2_path(BOB, ""), ec2_path(BOB, "/b"));
    let (pair_rotation, alias) = (ec2_path(BOB, "/b/rotate"), pairs.replace("/v3", "/v2.0"));
    for (method, path, route) in [
        ("POST", "/credentials", "ibm_cos create"),
        ("GET", "/credentials", "ibm_cos list"),
        ("GET", "/credentials/b", "ibm_cos show"),
        ("PATCH", "/credentials/b", "ibm_cos update"),
        ("DELETE", "/credentials/b", "ibm_cos delete"),
        ("POST", "/credentials/b/rotate", "ibm_cos rotate"),
        ("PUT", "/credentials", "ibm_cos other"),
        ("GET", "/credentials/%ff", "ibm_cos other"),
        ("GET", &grants, "keystone_v2 list"),
        ("GET", &by_type, "keystone_v2 list"),
        ("POST", &grants, "keystone_v2 create"),
        ("GET", &grant, "keystone_v2 show"),
        ("POST", &grant, "keystone_v2 update"),
        ("DELETE", &grant, "keystone_v2 delete"),
        ("PATCH", &grant, "keystone_v2 other"),
        ("GET", CREDENTIALS, "keystone_v3 list"),
        ("POST", CREDENTIALS, "keystone_v3 create"),
        ("HEAD", &one, "keystone_v3 show"),
        ("PATCH", &one, "keystone_v3 update"),
        ("DELETE", &one, "keystone_v3 delete"),
        ("POST", &rotation, "keystone_v3 rotate"),
        ("PURGE", &one, "keystone_v3 other"),
        ("POST", S3TOKENS, "keystone_v3 s3tokens"),
        ("POST", EC2TOKENS, "keystone_v3 ec2tokens"),
        ("OPTIONS", CREDENTIALS, "keystone options"),
        ("GET", &pairs, "os_ec2 list"),
        ("POST", &alias, "os_ec2 create"),
        ("GET", &pair, "os_ec2 show"),
        ("DELETE", &pair, "os_ec2 delete"),
        ("POST", &pair_rotation, "os_ec2 rotate"),
        ("PURGE", &pair, "os_ec2 other"),
    ] {
        // Also without a valid token, and for the pages of other origins.
        for (name, value) in [("x-auth-token", "wrong"), ("sec-fetch-site", "cross-site")] {
            let answer = world.call(method, path).header(name, value).send().await;
            let found = answer.route.map(|route| route.to_string());
            assert_eq!(found.as_deref(), Some(route), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn response_of_the_inner_service_has_no_route() {
    let answer = world().get("/bucket").send().await;
    assert_eq!((answer.status.as_u16(), answer.route), (418, None));
}
