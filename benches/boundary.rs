//! Measures what a boundary adds to a request: the classification and the decision.
//!
//! `cargo bench --bench boundary`

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::{hint::black_box, time::Instant};

use http::Request;
use serde_json::json;
use test_support::bench;
use tower_credentials::{
    boundary::{Boundary, RequestFacts},
    operation::S3OperationRules,
};

const CALLS: u32 = 200_000;
const ROUNDS: usize = 9;

fn main() {
    let short =
        r#"{"permission": "read-write", "buckets": ["data"], "prefixes": ["team/", "shared/"]}"#;
    // Statements that do not match, up to the largest document.
    let other = |number: usize| json!({"Effect": "Allow", "Action": "s3:*", "Resource": format!("arn:aws:s3:::b{number}/*")});
    let last =
        json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*"});
    let document = |count: usize| {
        let mut statements: Vec<_> = (0..count).map(other).collect();
        statements.push(last.clone());
        json!({"policy": {"Version": "2012-10-17", "Statement": statements}}).to_string()
    };
    let largest = (0..64).map(document).take_while(|text| Boundary::parse(text, "alice").is_ok());
    let largest = largest.last().unwrap();
    measure("short form, two prefixes", short, 250.0);
    measure("largest document", &largest, 3_000.0);
}

fn measure(name: &str, text: &str, bar: f64) {
    let boundary = Boundary::parse(text, "alice").unwrap();
    let rules = S3OperationRules::new();
    let request = Request::get("/data/team/reports/2026/november.parquet")
        .header("host", "s3.example.org")
        .header("x-amz-date", "20261129T120000Z")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=x")
        .body(())
        .unwrap();
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let started = Instant::now();
        for _ in 0..CALLS {
            let operation = rules.classify(black_box(&request).into()).unwrap();
            let facts = RequestFacts::new(&operation, request.headers(), "alice");
            assert!(black_box(boundary.allows(&facts)));
        }
        if round > 0 {
            rounds.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    println!("{name}: {:.0} ns   bar: at most {bar}", bench::median(rounds));
}
