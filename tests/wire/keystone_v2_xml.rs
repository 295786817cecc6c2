//! The operations of v2 in XML, and in both formats.

use serde_json::json;

use crate::{
    keystone_v2_json::{bobs, ec2, password, s3},
    world::{Answer, BOB, DEMO, World},
};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const KSEC2: &str = "http://docs.openstack.org/identity/api/ext/OS-KSEC2/v1.0";
const KSS3: &str = "http://docs.openstack.org/identity/api/ext/OS-KSS3/v1.0";
const IDENTITY: &str = "http://docs.openstack.org/identity/api/v2.0";

fn element(name: &str, namespace: &str, attributes: &str) -> String {
    format!("<{name} xmlns=\"{namespace}\" {attributes}/>")
}

fn ec2_xml() -> String {
    let attributes = "username=\"test_user\" key=\"secretsecret\" signature=\"bbb\"";
    element("ec2Credentials", KSEC2, attributes)
}

fn s3_xml() -> String {
    let attributes = "username=\"test_user-s3\" key=\"s3cret\" signature=\"\"";
    element("s3Credentials", KSS3, attributes)
}

fn password_xml() -> String {
    let attributes = "username=\"amy\" password=\"correct horse\"";
    element("passwordCredentials", IDENTITY, attributes)
}

async fn grant(world: &World, uri: &str, body: &str) -> Answer {
    let call = world.post(uri).token("dev-admin").header("accept", "application/xml");
    call.xml(body).send().await
}

async fn get(world: &World, uri: &str) -> Answer {
    world.get(uri).token("dev-admin").header("accept", "application/xml").send().await
}

#[tokio::test]
async fn k2_grant_in_xml_returns_the_grant() {
    let world = World::new();
    let answer = grant(&world, &bobs(""), &ec2_xml()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.text(), format!("{DECLARATION}{}\n", ec2_xml()));
    assert_eq!(answer.header("content-type"), "application/xml");

    let answer = grant(&world, &bobs(""), &s3_xml()).await;
    assert_eq!(answer.text(), format!("{DECLARATION}{}\n", s3_xml()));
    let answer = grant(&world, &bobs(""), &password_xml()).await;
    let shown = element("passwordCredentials", IDENTITY, "username=\"amy\"");
    assert_eq!((answer.status.as_u16(), answer.text()), (201, &*format!("{DECLARATION}{shown}\n")));
    assert!(world.is_usable("test_user").await && world.is_usable("test_user-s3").await);
}

#[tokio::test]
async fn delegations_in_xml_are_refused() {
    let world = World::new();
    for name in ["trust_id", "app_cred_id", "access_token_id"] {
        let attributes = String::from("username=\"k\" key=\"secretsecret\" signature=\"\"");
        let attributes = format!("{attributes} {name}=\"t\"");
        let body = element("ec2Credentials", KSEC2, &attributes);
        assert_eq!(grant(&world, &bobs(""), &body).await.status, 400, "{name}");
    }
    assert!(world.stored("k").await.is_none());
}

#[tokio::test]
async fn k1_list_in_xml_has_an_element_for_each_credential_and_a_link() {
    let world = World::new();
    let empty = get(&world, &bobs("")).await;
    let body = format!("{DECLARATION}<credentials xmlns=\"{IDENTITY}\"></credentials>\n");
    assert_eq!((empty.status.as_u16(), empty.text()), (200, &*body));

    for body in [ec2_xml(), s3_xml(), password_xml()] {
        assert_eq!(grant(&world, &bobs(""), &body).await.status, 201);
    }
    let page = get(&world, &bobs("")).await;
    assert_eq!(page.status, 200);
    let shown = element("passwordCredentials", IDENTITY, "username=\"amy\"");
    for element in [ec2_xml(), s3_xml(), shown] {
        assert!(page.text().contains(&element), "{element} in {}", page.text());
    }
    assert!(!page.text().contains("<link"));

    let first = world
        .get(&bobs("?limit=1"))
        .token("dev-admin")
        .header("accept", "text/xml")
        .header("host", "h\"><x>&")
        .send()
        .await;
    let link = "<link xmlns=\"http://www.w3.org/2005/Atom\" rel=\"next\" \
                href=\"http://h&quot;&gt;&lt;x&gt;&amp;/v2.0/users/";
    assert!(first.text().contains(link), "{}", first.text());
    assert!(first.text().contains("&amp;limit=1\"/></credentials>"), "{}", first.text());
}

#[tokio::test]
async fn k3_get_by_type_in_xml() {
    let world = World::new();
    grant(&world, &bobs(""), &ec2_xml()).await;
    let answer = get(&world, &bobs("/OS-KSEC2:ec2Credentials")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), format!("{DECLARATION}{}\n", ec2_xml()));
}

#[tokio::test]
async fn k4_update_by_type_in_xml() {
    let world = World::new();
    grant(&world, &bobs(""), &ec2_xml()).await;
    let changed = ec2_xml().replace("secretsecret", "changed");
    let answer = grant(&world, &bobs("/OS-KSEC2:ec2Credentials"), &changed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), format!("{DECLARATION}{changed}\n"));
    let renamed = changed.replace("test_user", "renamed");
    let answer = grant(&world, &bobs("/OS-KSEC2:ec2Credentials"), &renamed).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn k5_delete_by_type_in_xml_returns_no_body() {
    let world = World::new();
    grant(&world, &bobs(""), &ec2_xml()).await;
    let call = world.delete(&bobs("/OS-KSEC2:ec2Credentials.xml")).token("dev-admin");
    let answer = call.send().await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert!(!answer.headers.contains_key("content-type"));
}

#[tokio::test]
async fn k6_list_by_type_in_xml() {
    let world = World::new();
    grant(&world, &bobs(""), &ec2_xml()).await;
    grant(&world, &bobs(""), &s3_xml()).await;
    let answer = get(&world, &bobs("/s3credentials/s3credentials")).await;
    let expected =
        format!("{DECLARATION}<credentials xmlns=\"{IDENTITY}\">{}</credentials>\n", s3_xml());
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn k7_to_k12_under_os_kss3_in_xml() {
    let world = World::new();
    let kss3 = format!("/v2.0/users/{BOB}/OS-KSS3/credentials");
    let member = format!("{kss3}/s3credentials");
    let one = format!("{DECLARATION}{}\n", s3_xml());
    let many =
        format!("{DECLARATION}<credentials xmlns=\"{IDENTITY}\">{}</credentials>\n", s3_xml());
    assert_eq!(grant(&world, &kss3, &ec2_xml()).await.status, 400);
    assert_eq!(grant(&world, &kss3, &s3_xml()).await.text(), one);
    assert_eq!(get(&world, &kss3).await.text(), many);
    assert_eq!(get(&world, &member).await.text(), one);
    assert_eq!(get(&world, &format!("{member}/s3credentials")).await.text(), many);
    let changed = s3_xml().replace("s3cret", "changed");
    let answer = grant(&world, &member, &changed).await;
    assert_eq!(answer.text(), format!("{DECLARATION}{changed}\n"));
    let call = world.delete(&member).token("dev-admin").header("accept", "application/xml");
    assert_eq!(call.send().await.status, 204);
    assert_eq!(get(&world, &member).await.status, 404);
}

#[tokio::test]
async fn documents_may_use_prefixes_entities_comments_and_the_json_name_of_the_secret() {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\"?>\n<!-- c --><k:ec2Credentials xmlns:k='{KSEC2}'\n \
         username='amy' secret='a&amp;b&lt;&#33;' signature='&quot;' other='x'></k:ec2Credentials>\n"
    );
    let world = World::new();
    let call = world.post(&bobs("")).token("dev-admin").xml(&body);
    let answer = call.send().await;
    let expected = json!({"OS-KSEC2-ec2Credentials": {
        "username": "amy", "secret": "a&b<!", "signature": "\"",
    }});
    assert_eq!((answer.status.as_u16(), answer.json()), (201, expected));
    let shown = get(&world, &bobs("/ec2Credentials")).await;
    assert!(shown.text().contains("key=\"a&amp;b&lt;!\" signature=\"&quot;\""), "{}", shown.text());

    let vendors = s3_xml().replace("docs.openstack.org", "docs.rackspacecloud.com");
    let answer = grant(&world, &bobs(""), &vendors).await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("rackspace")), (201, false));
}

#[tokio::test]
async fn request_and_response_may_have_different_formats() {
    let world = World::new();
    let call = world.post(&bobs("")).token("dev-admin").header("accept", "application/json");
    let answer = call.xml(&ec2_xml()).send().await;
    assert_eq!((answer.status.as_u16(), answer.json()), (201, ec2()));

    let call = world.post(&bobs("")).token("dev-admin").header("accept", "application/xml");
    let answer = call.json(&s3()).send().await;
    assert_eq!(answer.text(), format!("{DECLARATION}{}\n", s3_xml()));

    // Both formats show the same grant.
    let shown = world.get(&bobs("/s3credentials")).token("dev-admin").send().await;
    assert_eq!(shown.json(), s3());
    let call = world.post(&bobs("")).token("dev-admin").json(&password());
    assert_eq!(call.send().await.status, 201);
    assert_eq!(grant(&world, &bobs(""), &password_xml()).await.status, 409);
}

#[tokio::test]
async fn key_pairs_with_any_printable_secret_are_well_formed_in_a_list() {
    let world = World::new();
    let secret: String = (' '..='~').collect();
    let body = json!({"credential": {"type": "ec2", "user_id": BOB, "project_id": DEMO, "blob": {
        "access": "a<b>\"c'&d", "secret": secret,
    }}});
    let minted = world.post("/credentials").token("dev-admin").json(&body).send().await;
    assert_eq!(minted.status, 201);
    let page = get(&world, &bobs("")).await;
    let mut reader = quick_xml::Reader::from_str(page.text());
    reader.config_mut().expand_empty_elements = true;
    let (mut depth, mut values) = (0, Vec::new());
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(element) => {
                depth += 1;
                for attribute in element.attributes() {
                    let version = quick_xml::XmlVersion::Implicit1_0;
                    let value = attribute.unwrap().normalized_value(version).unwrap();
                    values.push(value.into_owned());
                }
            }
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert!(values.contains(&secret) && values.iter().any(|v| v == "a<b>\"c'&d"), "{values:?}");
}
