//! Forms as clients create them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fields::PostForm;
use crate::domain::SecretKey;

/// The secret of botocore's forms.
pub(crate) const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// `generate_presigned_post` of botocore 1.43 for `photos/${filename}` in `bucket`, at
/// 2026-01-02T03:04:05Z for a minute, for 3 to 9 bytes; with Signature Version 4.
pub(crate) const BOTO_V4: [(&str, &str); 7] = [
    ("acl", "private"),
    ("key", "photos/${filename}"),
    ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
    ("x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20260102/us-east-1/s3/aws4_request"),
    ("x-amz-date", "20260102T030405Z"),
    (
        "policy",
        "eyJleHBpcmF0aW9uIjogIjIwMjYtMDEtMDJUMDM6MDU6MDVaIiwgImNvbmRpdGlvbnMiOiBbeyJhY2wiOiAicHJpdmF0ZSJ9LCBbImNvbnRlbnQtbGVuZ3RoLXJhbmdlIiwgMywgOV0sIHsiYnVja2V0IjogImJ1Y2tldCJ9LCBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAicGhvdG9zLyJdLCB7IngtYW16LWFsZ29yaXRobSI6ICJBV1M0LUhNQUMtU0hBMjU2In0sIHsieC1hbXotY3JlZGVudGlhbCI6ICJBS0lBSU9TRk9ETk43RVhBTVBMRS8yMDI2MDEwMi91cy1lYXN0LTEvczMvYXdzNF9yZXF1ZXN0In0sIHsieC1hbXotZGF0ZSI6ICIyMDI2MDEwMlQwMzA0MDVaIn1dfQ==",
    ),
    ("x-amz-signature", "be195c92f925dee0fb7267b49905171bbac0e45875d5bcd0b84919c6539be6e5"),
];

/// The same form with version 2.
pub(crate) const BOTO_V2: [(&str, &str); 5] = [
    ("acl", "private"),
    ("key", "photos/${filename}"),
    ("AWSAccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
    (
        "policy",
        "eyJleHBpcmF0aW9uIjogIjIwMjYtMDEtMDJUMDM6MDU6MDVaIiwgImNvbmRpdGlvbnMiOiBbeyJhY2wiOiAicHJpdmF0ZSJ9LCBbImNvbnRlbnQtbGVuZ3RoLXJhbmdlIiwgMywgOV0sIHsiYnVja2V0IjogImJ1Y2tldCJ9LCBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAicGhvdG9zLyJdXX0=",
    ),
    ("signature", "+mzlHyjACkUXTUK4cotUTB+EQ2k="),
];

/// The example of the AWS documentation, and its secret.
pub(crate) const AWS: [(&str, &str); 12] = [
    ("key", "user/user1/${filename}"),
    ("acl", "public-read"),
    (
        "success_action_redirect",
        "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    ),
    ("Content-Type", "image/jpeg"),
    ("x-amz-meta-uuid", "14365123651274"),
    ("x-amz-server-side-encryption", "AES256"),
    ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Date", "20151229T000000Z"),
    ("x-amz-meta-tag", ""),
    (
        "Policy",
        "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9",
    ),
    ("X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
];
pub(crate) const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The time at which botocore signed.
pub(crate) fn moment() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

pub(crate) fn secret() -> SecretKey {
    SecretKey::from_stored(SECRET)
}

/// A form of these fields, with a file `cat.jpg`.
pub(crate) fn form(fields: &[(&str, &str)]) -> PostForm {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    PostForm::new(fields.collect(), Some("cat.jpg".into()), None).unwrap()
}

/// The fields, with some replaced. Fields replaced by `None` are left out.
pub(crate) fn with<'a>(
    fields: &[(&'a str, &'a str)],
    others: &[(&'a str, Option<&'a str>)],
) -> Vec<(&'a str, &'a str)> {
    let kept = fields.iter().copied().filter(|(name, _)| others.iter().all(|(n, _)| n != name));
    let added = others.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    kept.chain(added).collect()
}
