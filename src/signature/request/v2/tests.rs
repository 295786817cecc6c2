//! The examples of the Amazon S3 documentation for version 2.

use std::time::UNIX_EPOCH;

use http::Request;

use super::*;
use crate::signature::request::SignedRequest;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn parse(request: &Request<()>) -> V2Request<'_> {
    match SignedRequest::parse(request.into()).unwrap() {
        Some(SignedRequest::V2(signed)) => signed,
        other => panic!("{other:?}"),
    }
}

fn refused(request: &Request<()>) -> S3ErrorCode {
    SignedRequest::parse(request.into()).map(|_| ()).unwrap_err().code()
}

/// Checks the string to sign, and the signature of the documentation.
fn holds(request: &Request<()>, bucket: Option<&str>, expected: &str) {
    let signed = parse(request);
    let text = String::from_utf8(signed.string_to_sign(bucket).unwrap()).unwrap();
    assert_eq!(text, expected);
    assert!(signed.verify(&SecretKey::from_stored(SECRET), bucket).unwrap());
}

#[test]
fn the_examples_of_the_s3_documentation_verify() {
    let host = "awsexamplebucket1.us-west-1.s3.amazonaws.com";
    let bucket = Some("awsexamplebucket1");

    let get = Request::get("/photos/puppy.jpg")
        .header("host", host)
        .header("date", "Tue, 27 Mar 2007 19:36:42 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
        .body(())
        .unwrap();
    let text = "GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg";
    holds(&get, bucket, text);

    let put = Request::put("/photos/puppy.jpg")
        .header("host", host)
        .header("content-type", "image/jpeg")
        .header("content-length", "94328")
        .header("date", "Tue, 27 Mar 2007 21:15:45 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:iqRzw+ileNPu1fhspnRs8nOjjIA=")
        .body(())
        .unwrap();
    let text =
        "PUT\n\nimage/jpeg\nTue, 27 Mar 2007 21:15:45 +0000\n/awsexamplebucket1/photos/puppy.jpg";
    holds(&put, bucket, text);

    let list = Request::get("/?prefix=photos&max-keys=50&marker=puppy")
        .header("user-agent", "Mozilla/5.0")
        .header("host", host)
        .header("date", "Tue, 27 Mar 2007 19:42:41 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:m0WP8eCtspQl5Ahe6L1SozdX9YA=")
        .body(())
        .unwrap();
    holds(&list, bucket, "GET\n\n\nTue, 27 Mar 2007 19:42:41 +0000\n/awsexamplebucket1/");

    let acl = Request::get("/?acl")
        .header("host", host)
        .header("date", "Tue, 27 Mar 2007 19:44:46 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:82ZHiFIjc+WbcwFKGUVEQspPn+0=")
        .body(())
        .unwrap();
    holds(&acl, bucket, "GET\n\n\nTue, 27 Mar 2007 19:44:46 +0000\n/awsexamplebucket1/?acl");

    let delete = Request::delete("/awsexamplebucket1/photos/puppy.jpg")
        .header("host", "s3.us-west-1.amazonaws.com")
        .header("date", "Tue, 27 Mar 2007 21:20:27 +0000")
        .header("x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:XbyTlbQdu9Xw5o8P4iMwPktxQd8=")
        .body(())
        .unwrap();
    // The documentation signs `Date` here, against its own rules.
    let text = "DELETE\n\n\n\nx-amz-date:Tue, 27 Mar 2007 21:20:26 +0000\n\
                /awsexamplebucket1/photos/puppy.jpg";
    let signed = parse(&delete).string_to_sign(None).unwrap();
    assert_eq!(String::from_utf8(signed).unwrap(), text);

    let unicode = Request::get("/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re")
        .header("host", "s3.us-west-1.amazonaws.com")
        .header("date", "Wed, 28 Mar 2007 01:49:49 +0000")
        .header("authorization", "AWS AKIAIOSFODNN7EXAMPLE:DNEZGsoieTZ92F3bUfSPQcbGmlM=")
        .body(())
        .unwrap();
    let text = "GET\n\n\nWed, 28 Mar 2007 01:49:49 +0000\n\
                /dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re";
    holds(&unicode, None, text);
}

#[test]
fn the_presigned_url_of_the_s3_documentation_verifies_until_it_expires() {
    let url = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE\
               &Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    let host = "awsexamplebucket1.s3.us-west-1.amazonaws.com";
    let request = Request::get(url).header("host", host).body(()).unwrap();
    let text = "GET\n\n\n1175139620\n/awsexamplebucket1/photos/puppy.jpg";
    let signed = parse(&request);
    let signed_text = signed.string_to_sign(Some("awsexamplebucket1")).unwrap();
    assert_eq!(String::from_utf8(signed_text).unwrap(), text);

    let (end, skew) = (UNIX_EPOCH + Duration::from_secs(1_175_139_620), Duration::from_mins(15));
    assert_eq!(signed.check_time(end, skew), Ok(()));
    for now in [end + Duration::from_secs(1), UNIX_EPOCH] {
        assert_eq!(signed.check_time(now, skew).unwrap_err().code(), S3ErrorCode::AccessDenied);
    }
}

#[test]
fn subresources_are_signed_sorted_and_decoded_and_other_parameters_are_not() {
    let sign = |query: &str| {
        let request = Request::get(format!("/b/k?{query}"))
            .header("host", "example.com")
            .header("date", "Tue, 27 Mar 2007 19:36:42 +0000")
            .header("authorization", "AWS AK:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
            .body(())
            .unwrap();
        let text = parse(&request).string_to_sign(None)?;
        Ok::<_, RequestError>(String::from_utf8(text).unwrap().rsplit('\n').next().unwrap().into())
    };
    for (query, resource) in [
        ("", "/b/k"),
        ("prefix=x", "/b/k"),
        ("uploadId=7&partNumber=1&x=y", "/b/k?partNumber=1&uploadId=7"),
        ("uploads=&acl", "/b/k?acl&uploads="),
        ("response-content-type=text%2Fplain", "/b/k?response-content-type=text/plain"),
        ("response-content-type=a%26b", "/b/k?response-content-type=a&b"),
    ] {
        assert_eq!(sign(query), Ok(String::from(resource)), "{query}");
    }
    for bad in ["acl&acl", "uploadId=1&uploadId=2", "response-content-type=x%26versionId%3D5"] {
        assert!(sign(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_missing_or_malformed_is_told_as_s3_tells_it() {
    let with = |authorization: &str| {
        Request::get("/")
            .header("host", "example.com")
            .header("date", "Tue, 27 Mar 2007 19:36:42 +0000")
            .header("authorization", authorization)
            .body(())
            .unwrap()
    };
    for bad in ["AWS", "AWS ", "AWS AK", "AWS :x", "AWS AK:", "AWS A K:x"] {
        assert_eq!(refused(&with(bad)), S3ErrorCode::InvalidArgument, "{bad}");
    }
    for bad in ["aws AK:x", "AWS3 AK:x", "AWS4-ECDSA-P256-SHA256 Credential=x"] {
        assert_eq!(refused(&with(bad)), S3ErrorCode::InvalidRequest, "{bad}");
    }
    let undated = Request::get("/").header("host", "h").header("authorization", "AWS AK:x");
    assert_eq!(refused(&undated.body(()).unwrap()), S3ErrorCode::AccessDenied);
    for bad in [
        "AWSAccessKeyId=AK&Expires=1",
        "AWSAccessKeyId=AK&Signature=x",
        "Signature=x&Expires=1",
        "AWSAccessKeyId=&Signature=x&Expires=1",
        "AWSAccessKeyId=AK&Signature=x&Expires=",
        "AWSAccessKeyId=AK&Signature=x&Expires=1x",
        "AWSAccessKeyId=AK&Signature=x&Expires=%2B1",
    ] {
        let request = Request::get(format!("/?{bad}")).header("host", "h").body(()).unwrap();
        assert_eq!(refused(&request), S3ErrorCode::AccessDenied, "{bad}");
    }
}

#[test]
fn access_key_may_contain_commas() {
    let request = Request::get("/")
        .header("host", "example.com")
        .header("date", "Tue, 27 Mar 2007 19:36:42 +0000")
        .header("authorization", "AWS A,K,:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
        .body(())
        .unwrap();
    assert_eq!(parse(&request).access_key(), "A,K,");
}
