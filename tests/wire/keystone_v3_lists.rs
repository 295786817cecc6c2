//! `GET /v3/credentials`: lists of credentials, their filters and pages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{
    ALICE, BOB, CAROL, DEMO, OTHER, World,
    v3::{CREDENTIALS, assert_framed, assert_refused, create, ec2, id_of, ids, opaque, world},
};

async fn listed(world: &World, token: &str, query: &str) -> Vec<String> {
    ids(&world.get(&format!("{CREDENTIALS}{query}")).token(token).send().await)
}

/// The types in a list, sorted.
async fn kinds(world: &World, token: &str, query: &str) -> Vec<String> {
    let answer = world.get(&format!("{CREDENTIALS}{query}")).token(token).send().await;
    assert_eq!(answer.status, 200, "{query}");
    let body = answer.json();
    let list = body["credentials"].as_array().unwrap().iter();
    let mut kinds: Vec<_> =
        list.map(|credential| credential["type"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

/// The ids in all pages, and the number of pages.
async fn walk(world: &World, token: &str, query: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut uri = format!("{CREDENTIALS}{query}");
    loop {
        let answer = world.get(&uri).token(token).header("host", "keys.test").send().await;
        found.extend(ids(&answer));
        pages += 1;
        assert!(pages < 1_000, "the pages do not end: {uri}");
        let body = answer.json();
        let Some(next) = body["links"]["next"].as_str() else {
            assert!(body.get("truncated").is_none(), "{body}");
            return (found, pages);
        };
        assert_eq!(body["truncated"], true);
        assert!(next.starts_with("http://keys.test/v3/credentials?"), "{next}");
        next.clone_into(&mut uri);
    }
}

#[tokio::test]
async fn c1_empty_list_has_links_and_nothing_else() {
    let world = world();
    let call = world.get("/v3/credentials?type=ec2&x=%20").token("dev-bob");
    let answer = call.header("host", "keys.test:5000").send().await;
    assert_eq!(
        answer.json(),
        json!({"credentials": [], "links": {
            "self": "http://keys.test:5000/v3/credentials?type=ec2&x=%20",
            "previous": null, "next": null,
        }})
    );
    assert!(answer.text().ends_with("}\n"));
    assert_framed(&answer);
}

#[tokio::test]
async fn c1_users_see_own_records_of_every_project_and_admins_and_readers_see_all() {
    let world = world();
    for body in [
        ec2(BOB, DEMO, "b1"),
        ec2(BOB, OTHER, "b2"),
        opaque(BOB, "totp", "x"),
        ec2(ALICE, DEMO, "a"),
        ec2(CAROL, OTHER, "c"),
    ] {
        create(&world, &body).await;
    }
    for (token, count) in [
        ("dev-bob", 3),
        ("unscoped-bob", 3),
        ("dev-alice", 1),
        ("dev-carol", 1),
        ("dev-service", 0),
        ("project-reader", 0),
        ("domain-reader", 0),
        ("list-admin", 1),
        ("impersonator", 1),
        ("system-reader", 5),
        ("system-admin", 5),
        ("dev-admin", 5),
        ("domain-admin", 5),
    ] {
        assert_eq!(listed(&world, token, "").await.len(), count, "{token}");
    }
    // Key pairs by access key, then the others by id.
    let all = listed(&world, "dev-admin", "").await;
    let pairs = listed(&world, "dev-admin", "?type=ec2").await;
    assert!(all.starts_with(&pairs) && all[pairs.len()..].is_sorted(), "{all:?}");
    let shown = world.get(&format!("{CREDENTIALS}?type=ec2")).token("dev-alice").send().await;
    let blob = shown.json()["credentials"][0]["blob"].as_str().unwrap().to_owned();
    assert!(blob.contains("secret-of-a"), "{blob}");
}

#[tokio::test]
async fn c1_filters_never_widen_a_list() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    create(&world, &opaque(BOB, "totp", "x")).await;
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    for (token, query, count) in [
        ("dev-bob", format!("?user_id={BOB}"), 2),
        ("dev-bob", format!("?user_id={ALICE}"), 0),
        ("dev-bob", format!("?user_id__contains={}", &ALICE[..4]), 0),
        ("dev-bob", "?user_id=".into(), 0),
        ("dev-bob", "?type=ec2".into(), 1),
        ("dev-bob", "?type=totp".into(), 1),
        ("dev-bob", "?type=EC2".into(), 0),
        ("dev-bob", "?type=cert".into(), 0),
        ("dev-admin", format!("?user_id={BOB}&type=totp"), 1),
        ("dev-admin", format!("?user_id={ALICE}&type=totp"), 0),
        ("dev-admin", "?type=ec2".into(), 2),
        ("system-reader", format!("?user_id={ALICE}"), 1),
        ("dev-admin", format!("?user_id={}", ALICE.to_uppercase()), 0),
        ("dev-admin", format!("?user_id={}", "x".repeat(5_000)), 0),
        ("dev-admin", "?user_id=a%2Fb".into(), 0),
    ] {
        assert_eq!(listed(&world, token, &query).await.len(), count, "{token} {query}");
    }
}

#[tokio::test]
async fn c1_inexact_filters_match_inside_at_the_start_and_at_the_end_in_either_case() {
    let world = world();
    for kind in ["cert", "Certificate", "x509-cert", "ec2"] {
        let body = if kind == "ec2" { ec2(BOB, DEMO, "b") } else { opaque(BOB, kind, "x") };
        create(&world, &body).await;
    }
    for (query, expected) in [
        ("type__contains=ert", &["Certificate", "cert", "x509-cert"][..]),
        ("type__contains=cert", &["cert", "x509-cert"]),
        ("type__icontains=CERT", &["Certificate", "cert", "x509-cert"]),
        ("type__startswith=cert", &["cert"]),
        ("type__istartswith=cert", &["Certificate", "cert"]),
        ("type__endswith=cert", &["cert", "x509-cert"]),
        ("type__iendswith=CATE", &["Certificate"]),
        ("type__endswith=CATE", &[]),
        ("type__contains=", &["Certificate", "cert", "ec2", "x509-cert"]),
        ("type__contains=509%2Dc", &["x509-cert"]),
        ("type__contains=ert&type__startswith=C", &["Certificate"]),
        ("type=cert&type__startswith=x", &[]),
        ("user_id__startswith=2b7e&type=ec2", &["ec2"]),
        ("user_id__istartswith=2B7E&type=ec2", &["ec2"]),
        ("user_id__endswith=2B7E", &[]),
        ("type__exact=cert", &["Certificate", "cert", "ec2", "x509-cert"]),
        ("blob__contains=zzz", &["Certificate", "cert", "ec2", "x509-cert"]),
    ] {
        assert_eq!(kinds(&world, "dev-admin", &format!("?{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn c1_unknown_parameters_are_ignored_with_any_value() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    for query in [
        "?color=red",
        "?project_id=nowhere",
        "?%ff=%ff",
        "?&&&",
        "?=",
        "?id=x",
        "?sort_key=blob",
        "?types=totp",
        "?marker=",
        "?roles=admin&target.credential.user_id=x",
    ] {
        assert_eq!(listed(&world, "dev-bob", query).await, [id_of("b")], "{query}");
    }
}

#[tokio::test]
async fn c1_limit_counts_shown_records_and_next_leads_to_the_end() {
    let world = world();
    let mut own = Vec::new();
    for number in 0..7 {
        create(&world, &ec2(BOB, DEMO, &format!("b{number}"))).await;
        own.push(id_of(&format!("b{number}")));
        create(&world, &ec2(ALICE, DEMO, &format!("a{number}"))).await;
        create(&world, &opaque(BOB, "totp", "x")).await;
    }
    let (found, pages) = walk(&world, "dev-bob", "?limit=3&type__startswith=ec").await;
    assert_eq!((found.len(), pages), (7, 3));
    assert_eq!(found, own, "not in order, or a duplicate");
    assert_eq!(walk(&world, "dev-bob", "?limit=7&type=ec2").await.1, 1, "more records follow");
    assert_eq!(walk(&world, "dev-bob", "?limit=6&type=ec2").await.1, 2);
    assert_eq!(walk(&world, "dev-bob", "?limit=1&type=ec2").await.1, 7);
    assert_eq!(walk(&world, "dev-bob", "?limit=5000").await.0.len(), 14);
    assert_eq!(walk(&world, "dev-admin", "?limit=4").await.0.len(), 21);
    let none = world.get("/v3/credentials?limit=0").token("dev-bob").send().await.json();
    assert_eq!((&none["credentials"], &none["links"]["next"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn c1_limit_that_is_not_a_whole_number_is_400() {
    let world = world();
    for bad in ["-1", "x", "", "1.5", "+1", "%31x", "1e3", "0x1"] {
        let answer = world.get(&format!("{CREDENTIALS}?limit={bad}")).token("dev-bob").send().await;
        assert_refused(&answer, 400);
    }
    let huge = "9".repeat(50);
    assert!(listed(&world, "dev-bob", &format!("?limit={huge}")).await.is_empty());
    for bad in ["marker=%ff", "user_id=%ff", "type=%c3", "type__contains=%ff"] {
        let answer = world.get(&format!("{CREDENTIALS}?{bad}")).token("dev-bob").send().await;
        assert_refused(&answer, 400);
    }
}

#[tokio::test]
async fn c1_marker_outside_the_list_is_404_whether_it_exists_or_not() {
    let world = world();
    create(&world, &ec2(BOB, DEMO, "b")).await;
    create(&world, &ec2(ALICE, DEMO, "a")).await;
    let [own, alices] = [id_of("b"), id_of("a")];
    let marked = async |token: &str, query: &str| {
        let uri = format!("{CREDENTIALS}?{query}");
        world.get(&uri).token(token).send().await
    };
    let mut bodies = BTreeSet::new();
    for marker in ["missing", "b", &alices] {
        let answer = marked("dev-bob", &format!("marker={marker}")).await;
        assert_refused(&answer, 404);
        bodies.insert(answer.text().to_owned());
    }
    assert_eq!(bodies.len(), 1, "the bodies differ: {bodies:?}");
    // A record of another type is a place in the list.
    assert!(ids(&marked("dev-bob", &format!("marker={own}&type=totp")).await).is_empty());
    assert_refused(&marked("dev-admin", "marker=missing").await, 404);
    assert!(ids(&marked("dev-bob", &format!("marker={own}")).await).is_empty());
    assert_eq!(ids(&marked("dev-admin", &format!("marker={alices}")).await), [own]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn c1_pages_of_any_size_contain_every_own_record_exactly_once(
        owners in proptest::collection::vec(0..3_usize, 0..40),
        limit in 1..9_usize,
        filtered in any::<bool>(),
    ) {
        tokio_test::block_on(async {
            let world = world();
            // By access key, then by id.
            let mut own = BTreeMap::new();
            for (number, owner) in owners.iter().enumerate() {
                let access = format!("k{number}");
                let body = match owner {
                    0 => ec2(ALICE, DEMO, &access),
                    1 => ec2(BOB, OTHER, &access),
                    _ => opaque(BOB, "totp", "x"),
                };
                let id = create(&world, &body).await["id"].as_str().unwrap().to_owned();
                match owner {
                    1 => drop(own.insert((false, access), id)),
                    2 if !filtered => drop(own.insert((true, id.clone()), id)),
                    _ => {}
                }
            }
            let filter = if filtered { "&type__istartswith=EC" } else { "" };
            let (found, pages) = walk(&world, "dev-bob", &format!("?limit={limit}{filter}")).await;
            assert!(own.values().eq(&found), "{own:?} {found:?}");
            assert_eq!(pages, own.len().div_ceil(limit).max(1));
        });
    }
}
