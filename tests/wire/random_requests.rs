//! Random requests cause no panic, no server error and no leak of a secret.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::world::{Answer, BOB, CAROL, DEMO, OTHER, World};

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["GET", "POST", "PATCH", "DELETE"]).prop_map(ToOwned::to_owned),
        1 => "[A-Za-z!#$%&'*+.^_`|~-]{1,8}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        6 => select(vec![
            "credentials", "v2.0", "users", BOB, "OS-KSADM", "OS-KSS3", "OS-OS-KSS3", "minted",
            "OS-KSEC2:ec2Credentials", "s3credentials", "passwordCredentials", "",
        ]).prop_map(ToOwned::to_owned),
        1 => "([a-zA-Z0-9._~:@!$&'()*+,;=-]|%[0-9a-fA-F]{2}|%){0,6}",
    ];
    let ours = prop_oneof![
        Just(String::new()),
        Just("/credentials".into()),
        Just(format!("/v2.0/users/{BOB}/OS-KSADM/credentials")),
        Just(format!("/v2.0/users/{BOB}/OS-KSS3/credentials")),
    ];
    let query = prop_oneof![
        Just(String::new()),
        "\\?((limit|marker|end_marker|user_id|project_id)=([a-z0-9]|%[0-9a-f]{2}|-){0,6}&?){0,3}",
    ];
    let suffix = select(vec!["", "", "/", ".json", ".xml"]);
    (ours, vec(segment, 0..4), suffix, query).prop_map(|(ours, segments, suffix, query)| {
        let rest: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        let path = format!("{ours}{rest}{suffix}");
        format!("{}{path}{query}", if path.starts_with('/') { "" } else { "/" })
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let word = "(\"(credential|blob|type|ec2|access|secret|status|Active|user_id|username|key|\
                signature|OS-KSEC2-ec2Credentials|s3Credentials|[a-z]{0,4})\")";
    let json = format!("(\\{{|\\}}|\\[|\\]|:|,|null|7|{word}){{0,24}}");
    let shaped = (0..4_u8, "[!-~]{0,8}", "[ -~]{0,8}").prop_map(|(form, access, secret)| {
        let body = match form {
            0 => serde_json::json!({"credential": {"type": "ec2", "blob": {
                "access": access, "secret": secret,
            }}}),
            1 => serde_json::json!({"credential": {"blob": {"status": access}}}),
            2 => serde_json::json!({"s3Credentials": {
                "username": access, "secret": secret, "signature": "",
            }}),
            _ => serde_json::json!({"ec2Credentials": {
                "username": access, "key": secret, "signature": secret,
            }}),
        };
        body.to_string().into_bytes()
    });
    prop_oneof![
        2 => shaped,
        2 => proptest::string::string_regex(&json).unwrap().prop_map(String::into_bytes),
        1 => "(<|>|/|!|\\?|\"|=|&|;|xmlns|ec2Credentials|username|\\[| ){0,40}"
            .prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..64),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = vec![
        "x-auth-token",
        "authorization",
        "content-type",
        "accept",
        "host",
        "content-length",
        "origin",
        "sec-fetch-site",
    ];
    let values = prop_oneof![
        select(vec![
            "dev-admin",
            "Bearer dev-bob",
            "application/json",
            "application/xml",
            "text/plain",
            "*/*;q=x",
            "AWS4-HMAC-SHA256 x",
            "Basic Ym9iOmRldi1ib2I=",
            "keys.test",
            "http://keys.test",
            "null",
            "cross-site",
            "18446744073709551616",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        vec(32..=126_u8, 0..16),
        vec(128..=255_u8, 0..16),
    ];
    vec((select(names), values), 0..4)
}

fn check(answer: &Answer, was_ours: bool) {
    assert!(!answer.status.is_server_error(), "{answer:?}");
    assert!(!answer.text().contains("secret-of-carols"), "{answer:?}");
    if !was_ours || answer.body.is_empty() {
        return;
    }
    match answer.header("content-type") {
        "application/json" | "application/json; charset=utf-8" => {
            assert!(answer.json().is_object());
        }
        "application/xml" => assert!(answer.text().starts_with("<?xml")),
        other => panic!("{other} for {answer:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]
    #[test]
    fn random_requests_cause_no_panic_no_failure_and_no_leak(
        method in method(),
        path in path(),
        headers in headers(),
        token in select(vec!["dev-bob", "dev-bob", "dev-admin", "no-role", ""]),
        body in body(),
    ) {
        // HTTP servers reject a request line with other characters.
        prop_assume!(path.parse::<http::Uri>().is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            world.mint(BOB, DEMO, "minted").await;
            world.mint(CAROL, OTHER, "carols").await;
            let mut call = world.call(&method, &path).bytes(&body);
            for (name, value) in &headers {
                call = call.raw_header(name, value);
            }
            if !token.is_empty() {
                call = call.token(token);
            }
            let answer = call.send().await;
            check(&answer, answer.status != 418);
        });
    }
}
