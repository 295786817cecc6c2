//! Boundaries against a slow evaluator that works on the JSON of the document, and against
//! requests and documents of any bytes.

use http::Request;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use test_support::counting;
use tower_credentials::{
    boundary::{Boundary, RequestFacts},
    operation::{S3Action, S3Check, S3Operation, S3OperationName, S3OperationRules, S3Resource},
};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

#[test]
fn decision_about_a_request_allocates_nothing() {
    let text = r#"{"permission": "read", "buckets": ["data"], "prefixes": ["team/", "shared/"]}"#;
    let boundary = Boundary::parse(text, "alice").unwrap();
    let rules = S3OperationRules::new();
    for (target, expected) in [
        ("/data/team/a", true),
        ("/data/team/a?versionId=7&response-content-type=text/html", true),
        ("/data?list-type=2&prefix=team/&delimiter=/", true),
        ("/data/other/a", false),
        ("/data/team/../a", false),
    ] {
        let request = Request::get(target).header("host", "s3.test").body(()).unwrap();
        let (is_allowed, allocations) = counting::allocations(|| {
            let operation = rules.classify((&request).into());
            operation.is_ok_and(|operation| {
                boundary.allows(&RequestFacts::new(&operation, request.headers(), "alice"))
            })
        });
        assert_eq!((is_allowed, allocations), (expected, 0), "{target}");
    }
}

/// Matches a pattern by trying every split of the text.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        Some(('?', rest)) => !text.is_empty() && matches(rest, &text[1..]),
        Some((wanted, rest)) => text.first() == Some(wanted) && matches(rest, &text[1..]),
    }
}

fn like(pattern: &str, text: &str) -> bool {
    let characters = |text: &str| text.chars().collect::<Vec<_>>();
    matches(&characters(pattern), &characters(text))
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap()).collect(),
        value => vec![value.as_str().unwrap()],
    }
}

/// Whether a statement is about an action on a resource of a request.
fn concerns(statement: &Value, operation: &S3Operation<'_>, action: &str, check: S3Check) -> bool {
    let bucket = operation.bucket().unwrap_or_default();
    let resource = match check.on {
        S3Resource::AllBuckets => "*".to_owned(),
        S3Resource::Bucket => bucket.to_owned(),
        S3Resource::Source => {
            let (bucket, key) = operation.source().unwrap();
            format!("{bucket}/{key}")
        }
        _ => format!("{bucket}/{}", operation.key().unwrap()),
    };
    let arn = format!("arn:aws:s3:::{resource}");
    let action = format!("s3:{action}").to_lowercase();
    let any = |name: &str, text: &str| {
        let patterns = statement.get(name).map(texts)?;
        Some(patterns.iter().any(|pattern| {
            like(
                &if name.ends_with("Action") {
                    pattern.to_lowercase()
                } else {
                    (*pattern).to_owned()
                },
                text,
            )
        }))
    };
    let acts = any("Action", &action).or_else(|| any("NotAction", &action).map(|it| !it)).unwrap();
    let about = any("Resource", &arn).or_else(|| any("NotResource", &arn).map(|it| !it)).unwrap();
    let prefix = operation.parameter("prefix");
    let is_list = ["ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"]
        .contains(&check.action.name());
    let prefix = prefix.as_deref().filter(|_| is_list);
    let holds = |operator: &str, values: &Value| {
        let values = texts(values);
        let plain = operator.strip_suffix("IfExists");
        let Some(prefix) = prefix else { return plain.is_some() || operator.contains("Not") };
        match plain.unwrap_or(operator) {
            "StringEquals" => values.contains(&prefix),
            "StringNotEquals" => !values.contains(&prefix),
            "StringLike" => values.iter().any(|value| like(value, prefix)),
            "StringNotLike" => !values.iter().any(|value| like(value, prefix)),
            other => panic!("{other}"),
        }
    };
    let conditions = statement.get("Condition").and_then(Value::as_object);
    let conditions = conditions.into_iter().flatten();
    let mut met = conditions.map(|(operator, keys)| holds(operator, &keys["s3:prefix"]));
    acts && about && met.all(|met| met)
}

/// Decides by the rules of IAM: a denial first, then a permission.
fn slow(document: &Value, operation: &S3Operation<'_>) -> bool {
    let statements = document["Statement"].as_array().unwrap();
    let any = |effect: &str, check: S3Check, actions: &[&str]| {
        let of_effect = statements.iter().filter(|statement| statement["Effect"] == effect);
        of_effect.clone().any(|statement| {
            actions.iter().any(|action| concerns(statement, operation, action, check))
        })
    };
    operation.checks().all(|check| {
        let alternative = check.alternative.map(S3Action::name);
        let unversioned = check.unversioned.map(S3Action::name);
        let allowing: Vec<&str> = [check.action.name()].into_iter().chain(alternative).collect();
        let denying: Vec<&str> = allowing.iter().copied().chain(unversioned).collect();
        !any("Deny", check, &denying) && any("Allow", check, &allowing)
    })
}

/// Patterns of few characters, so that they often match.
fn key() -> impl Strategy<Value = String> {
    "[ab/*?]{0,5}"
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("arn:aws:s3:::*".to_owned()),
        select(vec!["ba", "bb", "b?", "b*"]).prop_map(|bucket| format!("arn:aws:s3:::{bucket}")),
        (select(vec!["ba", "bb", "b?", "*"]), key())
            .prop_map(|(bucket, key)| format!("arn:aws:s3:::{bucket}/{key}")),
    ]
}

fn action() -> impl Strategy<Value = &'static str> {
    select(vec![
        "s3:*",
        "s3:Get*",
        "s3:GetObject",
        "s3:getobjectversion",
        "s3:PutObject",
        "s3:Put*",
        "s3:DeleteObject",
        "s3:DeleteObject*",
        "s3:ListBucket",
        "s3:List*",
        "s3:HeadBucket",
        "s3:PutObjectAcl",
        "s3:?etObject*",
    ])
}

fn statement() -> impl Strategy<Value = Value> {
    let condition = prop_oneof![
        3 => Just(None),
        1 => (
            select(vec!["StringEquals", "StringNotEquals", "StringLike", "StringNotLikeIfExists", "StringLikeIfExists"]),
            vec(key(), 1..3),
        ).prop_map(Some),
    ];
    (any::<bool>(), any::<[bool; 2]>(), vec(action(), 1..3), vec(resource(), 1..3), condition)
        .prop_map(|(denies, [other_actions, other_resources], actions, resources, condition)| {
            let mut statement = json!({"Effect": if denies { "Deny" } else { "Allow" }});
            statement[if other_actions { "NotAction" } else { "Action" }] = actions.into();
            statement[if other_resources { "NotResource" } else { "Resource" }] = resources.into();
            if let Some((operator, values)) = condition {
                statement["Condition"] = json!({operator: {"s3:prefix": values}});
            }
            statement
        })
}

fn line() -> impl Strategy<Value = (&'static str, String)> {
    let path = (select(vec!["ba", "bb"]), "(a|b|a/b|b/a/|ab|ba)");
    let object = path.prop_map(|(bucket, key)| format!("/{bucket}/{key}"));
    let list = (
        select(vec!["ba", "bb"]),
        select(vec!["", "?prefix=", "?prefix=a/", "?prefix=ab", "?versions&prefix=a"]),
    )
        .prop_map(|(bucket, query)| format!("/{bucket}{query}"));
    prop_oneof![
        (select(vec!["GET", "HEAD", "PUT", "DELETE"]), object.clone()),
        object.prop_map(|path| ("GET", format!("{path}?versionId=1"))),
        list.prop_map(|path| ("GET", path)),
        Just(("GET", "/".to_owned())),
        Just(("HEAD", "/ba".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn boundary_decides_as_the_slow_evaluator(
        statements in vec(statement(), 1..5),
        (method, path) in line(),
        headers in vec(select(vec![("x-amz-acl", "public-read"), ("x-amz-tagging", "a=b")]), 0..2),
    ) {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let text = json!({"policy": document}).to_string();
        // Some conditions have a key that no action of their statement has.
        let Ok(boundary) = Boundary::parse(&text, "alice") else { return Ok(()) };
        let mut request = Request::builder().method(method).uri(&path).header("host", "s3.test");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(()).unwrap();
        let operation = S3OperationRules::new().classify((&request).into()).unwrap();
        let facts = RequestFacts::new(&operation, request.headers(), "alice");
        prop_assert_eq!(boundary.allows(&facts), slow(&document, &operation), "{} {}", text, path);
    }

    #[test]
    fn no_document_makes_the_parser_panic(text in ".{0,200}", name in "[A-Za-z:]{0,12}", value in ".{0,20}") {
        let _ = Boundary::parse(&text, &value);
        let document = json!({"policy": {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "s3:*", "Resource": format!("arn:aws:s3:::{value}"),
            "Condition": {&name: {"s3:prefix": [&value]}}}]}});
        let _ = Boundary::parse(&document.to_string(), &text);
    }

    #[test]
    fn no_request_makes_the_classification_panic(
        method in select(vec!["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]),
        target in "/[a-z%2./?&=A-Z+;:\\\\-]{0,60}",
        source in "[ -~]{0,40}",
    ) {
        let all = S3OperationName::ALL.iter().copied();
        let rules = S3OperationRules::new().base_domains(["s3.test"]).serve(all);
        let request = Request::builder().method(method).uri(&target).header("host", "a.s3.test");
        let request = request.header("x-amz-copy-source", source).body(());
        let Ok(request) = request else { return Ok(()) };
        if let Ok(operation) = rules.classify((&request).into()) {
            prop_assert!(operation.key().is_none_or(|key| !key.contains("..") || !key.split('/').any(|it| it == "..")));
        }
    }
}
