//! Keystone's key repositories.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tower_credentials::backend::encrypted::{FernetKeys, KeyErrorKind};

/// The key and the token of the specification's `verify.json`; the text is `hello`.
const SPEC_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const SPEC_TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7Jcb\
                          mrR64jVmpU4IwqDA==";

/// What Python's `cryptography` makes of a Keystone blob, with a key and with zeros.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD2rpsR4FCIDtUbtWOt6Bb1vADFNdiyiUtgJuchpugTvhgR5NfTkHRI\
                     KWk5SW2Yypf9pEUONzhK1DNzxMJQ_C2SzlE8bqatGg6fG_A22wm3rp";
const NULL_TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0OD9YDzQbE6V7bzuFviZ0zpH71cHfAMh0T00emCehrhxM8GEcH524F\
                          6HXAp2nnIEZKe8TjYJFuswaxBHXb6zeVt3Mp2WDGWvP_r0n3ZKVHbK5q";
const BLOB: &str = r#"{"access": "a1b2", "secret": "c3d4"}"#;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn repository_opens_tokens_of_all_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "2", SPEC_KEY);
    write(folder.path(), "10", &format!("{KEY}\n"));
    write(folder.path(), "0", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    write(folder.path(), "README", "not a key");
    let keys = FernetKeys::open(folder.path()).unwrap();
    assert_eq!(keys.decrypt(TOKEN).unwrap().expose(), BLOB);
    assert_eq!(keys.decrypt(SPEC_TOKEN).unwrap().expose(), "hello");
    assert_eq!(keys.decrypt(SPEC_TOKEN.trim_end_matches('=')).unwrap().expose(), "hello");
    assert_eq!(keys.decrypt(NULL_TOKEN).unwrap().expose(), BLOB);
    assert_eq!(format!("{keys:?}"), "FernetKeys(3)");
}

#[test]
fn keystone_without_a_repository_seals_with_zeros() {
    assert_eq!(FernetKeys::null().decrypt(NULL_TOKEN).unwrap().expose(), BLOB);
    assert!(FernetKeys::null().decrypt(TOKEN).is_err());
}

#[test]
fn altered_or_foreign_token_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "1", KEY);
    let keys = FernetKeys::open(folder.path()).unwrap();
    assert!(keys.decrypt(SPEC_TOKEN).is_err());
    for at in 0..TOKEN.len() {
        let mut altered = TOKEN.to_owned();
        let other = if &TOKEN[at..=at] == "A" { "B" } else { "A" };
        altered.replace_range(at..=at, other);
        let error = keys.decrypt(&altered).unwrap_err();
        assert!(!error.to_string().contains(&altered), "{error}");
        assert!(keys.decrypt(&TOKEN[..at]).is_err(), "cut at {at}");
    }
    for bad in ["", "=", "gAAAAA==", "not base64 !", &"A".repeat(64), &"A".repeat(77)] {
        assert!(keys.decrypt(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn repository_without_keys_or_exposed_to_others_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let kind = || FernetKeys::open(folder.path()).unwrap_err().kind();
    assert_eq!(kind(), KeyErrorKind::Invalid, "empty");
    write(folder.path(), "1", &KEY[..40]);
    assert_eq!(kind(), KeyErrorKind::Invalid, "too short");
    write(folder.path(), "1", KEY);
    assert!(FernetKeys::open(folder.path()).is_ok());
    fs::set_permissions(folder.path().join("1"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(kind(), KeyErrorKind::Exposed);
    let missing = FernetKeys::open(folder.path().join("nowhere")).unwrap_err();
    assert_eq!(missing.kind(), KeyErrorKind::Inaccessible);
}
