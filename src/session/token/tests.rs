use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{Credential, CredentialId, Kind, Life, Material, UserId, Version},
    session::{Holder, SessionRefusal},
    signature::{decoy, hash::count},
};

const SECRET_TEXT: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
const HOUR: Duration = Duration::from_hours(1);
const READ: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/jobs/*"}}"#;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

fn parent_secret() -> SecretKey {
    SecretKey::from_stored(SECRET_TEXT)
}

fn session() -> Session {
    let parent = AccessKey::from_stored("181920");
    Session::new(&parent, Holder::Role("nightly".into()), now(), HOUR).unwrap()
}

/// A token with these claims, made with the parent's secret.
fn forged(claims: &str) -> String {
    let signed = format!("{VERSION}.{}", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let code = code(&DerivingKey::extract(&parent_secret()), &signed);
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&code))
}

fn parent(secret: &str) -> Credential {
    let access_key = AccessKey::from_stored("181920");
    let (id, owner) = (CredentialId::of(&access_key), UserId::new("alice").unwrap());
    let material = Material::KeyPair { secret: Some(SecretKey::from_stored(secret)) };
    let mut record =
        Credential::new(id, Kind::ec2(), owner, material, UNIX_EPOCH, Version::fresh());
    record.access_key = Some(access_key);
    record
}

#[test]
fn published_vector_opens() {
    let claims = r#"{"access_key":"ASIA234567ABCDEFGHIJ","expires_at":1767326645000,"issued_at":1767323045000,"parent":"181920","policies":[{"Statement":[{"Action":"s3:GetObject","Effect":"Allow","Resource":"arn:aws:s3:::lake/jobs/*"}],"Version":"2012-10-17"}],"role":"nightly"}"#;
    let token = forged(claims);
    assert_eq!(token, include_str!("vector.txt").trim());
    let presented = Presented::parse(&token).unwrap();
    let (secret, is_genuine) = presented.open(&parent_secret());
    assert!(is_genuine);
    assert_eq!(secret.expose(), "J5Gaxy0R0dKGnDTLE6ITWYK4RLvxTdIVBZjVPHId");
    assert_eq!(presented.session().encode(), claims);
}

#[test]
fn minted_session_opens_with_the_secret_of_its_parent_alone() {
    let session = session().with_policy(READ).unwrap();
    let credentials = session.mint(&parent_secret()).unwrap();
    let presented = Presented::parse(credentials.session_token.expose()).unwrap();
    assert_eq!(**presented.session(), session);
    let (secret, is_genuine) = presented.open(&parent_secret());
    assert!(is_genuine && secret == credentials.secret_key);
    assert_eq!(secret.expose().len(), 40);

    let (other, is_genuine) = presented.open(&SecretKey::from_stored("x".repeat(48)));
    assert!(!is_genuine && other != secret);
}

#[test]
fn blank_secret_opens_nothing() {
    let blank = SecretKey::from_stored("");
    let signed = format!("{VERSION}.{}", BASE64URL_NOPAD.encode(session().encode().as_bytes()));
    let code = code(&DerivingKey::extract(&blank), &signed);
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&code));
    assert!(!Presented::parse(&token).unwrap().open(&blank).1);
}

#[test]
fn tokens_have_the_promised_length() {
    let parent = AccessKey::new("\\".repeat(128)).unwrap();
    let longest = Holder::Role("n".repeat(64));
    let session = Session::new(&parent, longest, now(), HOUR).unwrap();
    let token = session.mint(&parent_secret()).unwrap().session_token;
    assert!(token.expose().len() <= 1_000, "{}", token.expose().len());

    let document = |resource: &str| {
        format!(
            r#"{{"Statement":[{{"Action":"s3:GetObject","Effect":"Allow","Resource":"arn:aws:s3:::b/{resource}"}}]}}"#
        )
    };
    let room = 2_048 - document("").len();
    let largest = session.clone().with_policy(&document(&"r".repeat(room))).unwrap();
    let token = largest.mint(&parent_secret()).unwrap().session_token;
    assert!((3_000..=4_096).contains(&token.expose().len()), "{}", token.expose().len());
    let larger = session.clone().with_policy(&document(&"r".repeat(room + 1)));
    assert!(matches!(larger, Err(SessionError::PolicySize)), "{larger:?}");
    let two = session.with_policy(&document(&"r".repeat(room / 2))).unwrap();
    let two = two.with_policy(&document(&"r".repeat(room / 2)));
    assert!(matches!(two, Err(SessionError::PolicySize)), "{two:?}");
}

#[test]
fn opening_costs_the_same_whatever_the_secret() {
    let token = session().mint(&parent_secret()).unwrap().session_token;
    let presented = Presented::parse(token.expose()).unwrap();
    let cost = |secret: &SecretKey| count::blocks_of(|| presented.open(secret));
    for secret in
        [SecretKey::from_stored("x".repeat(256)), SecretKey::from_stored(""), parent_secret()]
    {
        assert_eq!(cost(&secret), cost(decoy()));
    }
}

#[test]
fn claims_outside_the_format_are_rejected() {
    let whole = session().encode();
    assert!(Presented::parse(forged(&whole)).is_some());
    let key = session().access_key().as_str().to_owned();
    for (part, other) in [
        ("\"role\":\"nightly\"", "\"role\":\"n\""),
        ("\"role\":\"nightly\"", "\"role\":\"a b\""),
        ("\"role\":\"nightly\"", "\"role\":\"a/b\""),
        ("\"role\":\"nightly\"", "\"role\":\"nightly\",\"admin\":true"),
        ("\"role\":\"nightly\"", "\"role\":\"nightly\",\"role\":\"other\""),
        ("\"role\":\"nightly\"", "\"role\":\"nightly\",\"federated\":\"Bob\""),
        ("\"role\":\"nightly\"", "\"role\":\"nightly\",\"policies\":[1]"),
        ("\"role\":\"nightly\"", "\"role\":\"nightly\",\"policies\":\"*\""),
        ("\"parent\":\"181920\"", "\"parent\":\"\""),
        ("\"parent\":\"181920\"", "\"parent\":null"),
        ("1767323045000", "-1"),
        ("1767323045000", "1.5"),
        ("1767323045000", "\"1767323045000\""),
        ("1767326645000", "18446744073709551616"),
        ("ASIA", "AKIA"),
        ("ASIA", "ASIAA"),
        ("ASIA", "asia"),
    ] {
        assert!(whole.contains(part), "{part}");
        let claims = whole.replacen(part, other, 1);
        let claims = claims.replace(&key, &session().access_key().as_str().replace('1', "2"));
        assert!(Presented::parse(forged(&claims)).is_none(), "{claims}");
    }
    for token in ["", ".", "..", "tc1..", "tc1", "tc2.e30.AA", "tc1.e30", "tc1.[].AA"] {
        assert!(Presented::parse(token).is_none(), "{token}");
    }
    let token = forged(&whole);
    for token in [
        format!("{token}="),
        format!(" {token}"),
        format!("{token}."),
        format!("{token}.{token}"),
        token.replace("tc1.", "TC1."),
        token[..token.len() - 1].to_owned(),
    ] {
        assert!(Presented::parse(&token).is_none(), "{token}");
    }
}

#[test]
fn names_of_sessions_have_the_rules_of_aws() {
    let new = |holder| Session::new(&AccessKey::from_stored("K"), holder, now(), HOUR);
    for good in ["ab", "a+b=c,d.e@f-g_h"] {
        assert!(new(Holder::Role(good.into())).is_ok(), "{good}");
    }
    assert!(new(Holder::Role("n".repeat(64))).is_ok());
    assert!(new(Holder::Federated("n".repeat(32))).is_ok());
    for bad in ["", "a", "a b", "a/b", "a:b", "ä0"] {
        assert!(matches!(new(Holder::Role(bad.into())), Err(SessionError::Name)), "{bad}");
    }
    assert!(matches!(new(Holder::Role("n".repeat(65))), Err(SessionError::Name)));
    assert!(matches!(new(Holder::Federated("n".repeat(33))), Err(SessionError::Name)));
}

#[test]
fn sessions_last_at_most_36_hours() {
    let new = |life| Session::new(&AccessKey::from_stored("K"), Holder::User, now(), life);
    assert!(new(Duration::from_secs(1)).is_ok() && new(Duration::from_hours(36)).is_ok());
    for life in [Duration::ZERO, Duration::from_secs(129_601), Duration::MAX] {
        assert!(matches!(new(life), Err(SessionError::Life)), "{life:?}");
    }
}

#[test]
fn short_secret_mints_nothing_and_admits_nothing() {
    let short = "s".repeat(31);
    let minted = session().mint(&SecretKey::from_stored(&*short));
    assert!(matches!(minted, Err(SessionError::ShortSecret)));
    let skew = Duration::ZERO;
    assert_eq!(session().check(&parent(&short), now(), skew), Err(SessionRefusal::BreaksRule));
    assert_eq!(session().check(&parent(&"s".repeat(32)), now(), skew), Ok(()));
}

#[test]
fn times_of_a_session_are_checked() {
    let (skew, second) = (Duration::from_mins(15), Duration::from_secs(1));
    let plain = parent(SECRET_TEXT);
    let check = |record: &Credential, at| session().check(record, at, skew);
    for (at, result) in [
        (now() - skew - second, Err(SessionRefusal::BreaksRule)),
        (now() - skew, Ok(())),
        (now() + HOUR - second, Ok(())),
        (now() + HOUR, Err(SessionRefusal::Ended)),
    ] {
        assert_eq!(check(&plain, at), result, "{at:?}");
    }
    let mut ending = plain.clone();
    ending.terms.set_expires_at(Some(now() + HOUR));
    assert_eq!(check(&ending, now()), Ok(()));
    ending.terms.set_expires_at(Some(now() + HOUR - second));
    assert_eq!(check(&ending, now()), Err(SessionRefusal::Ended));
    // A rotation with overlap does not change the original life of the key.
    let mut rotated = plain.clone();
    rotated.terms.shorten_to(now() + second, Life::Unlimited);
    assert_eq!(check(&rotated, now()), Ok(()));

    let mut enabled = plain;
    enabled.terms.set_enabled_at(now());
    assert_eq!(check(&enabled, now()), Ok(()));
    enabled.terms.set_enabled_at(now() + Duration::from_millis(1));
    // The skew does not apply here: it would admit an old session.
    assert_eq!(check(&enabled, now()), Err(SessionRefusal::Ended));
}

#[test]
fn session_minted_offline_for_too_long_is_refused() {
    let claims = session().encode().replace("1767326645000", "1767452646000");
    let token = forged(&claims);
    let presented = Presented::parse(&token).unwrap();
    assert!(presented.open(&parent_secret()).1);
    let refused = presented.session().check(&parent(SECRET_TEXT), now(), Duration::ZERO);
    assert_eq!(refused, Err(SessionRefusal::BreaksRule));
}

#[test]
fn debug_shows_no_secret_and_no_policy() {
    let session = session().with_policy(READ).unwrap();
    let credentials = session.mint(&parent_secret()).unwrap();
    let token = credentials.session_token.expose();
    let presented = Presented::parse(token).unwrap();
    let text = format!("{session:?} {credentials:?} {presented:?}");
    for hidden in ["jobs", token, credentials.secret_key.expose(), &token[..20]] {
        assert!(!text.contains(hidden), "{text}");
    }
}

proptest! {
    #[test]
    fn any_changed_character_closes_a_token(at in 0_usize..400, character in "[A-Za-z0-9_.-]") {
        let token = session().mint(&parent_secret()).unwrap().session_token;
        let at = at % token.expose().len();
        let mut changed = token.expose().to_owned();
        changed.replace_range(at..=at, &character);
        prop_assume!(changed != token.expose());
        let opened = Presented::parse(&changed).map(|it| it.open(&parent_secret()).1);
        prop_assert!(opened != Some(true), "{changed}");
    }

    #[test]
    fn any_text_parses_or_not_without_a_panic(text in ".{0,200}") {
        let _ = Presented::parse(&text);
        let _ = Presented::parse(forged(&text));
    }
}
