"""What a holder of an S3 key does, with boto3.

    s3_cycle.py works | refused | wrong-secret

The key is in the usual AWS_* variables, the server in S3_ENDPOINT, the bucket in
S3_BUCKET. Ends with an exception if the server does not do as the phase says.
"""

import os
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = os.environ["S3_BUCKET"]
PART = 5 << 20

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["S3_ENDPOINT"],
    config=Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # What refuses a request before its body came may hang up, and the next
        # request on that connection must be sent again. Refusals are not retried.
        retries={"total_max_attempts": 3},
        proxies={},
    ),
)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def presigned(method, key, body=None):
    """The status and body that a presigned URL is answered with."""
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    url = s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key})
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def read(key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def keys():
    listed = s3.list_objects_v2(Bucket=BUCKET)
    return sorted(entry["Key"] for entry in listed.get("Contents", []))


def works():
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)

    s3.put_object(Bucket=BUCKET, Key="a/one", Body=b"first")
    assert read("a/one") == b"first"

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="a/two")["UploadId"]
    parts = []
    for number, body in enumerate([b"1" * PART, b"2" * 1000], start=1):
        part = s3.upload_part(
            Bucket=BUCKET, Key="a/two", UploadId=upload, PartNumber=number, Body=body
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key="a/two", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert read("a/two") == b"1" * PART + b"2" * 1000

    status, _ = presigned("PUT", "a/three", b"presigned")
    assert status == 200, status
    assert presigned("GET", "a/three") == (200, b"presigned")
    assert keys() == ["a/one", "a/three", "a/two"], keys()

    s3.delete_object(Bucket=BUCKET, Key="a/three")
    assert keys() == ["a/one", "a/two"], keys()


def refused(code):
    calls = [
        lambda: s3.list_buckets(),
        lambda: s3.list_objects_v2(Bucket=BUCKET),
        lambda: s3.get_object(Bucket=BUCKET, Key="a/one"),
        lambda: s3.put_object(Bucket=BUCKET, Key="a/four", Body=b"x"),
        lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="a/four"),
    ]
    for call in calls:
        try:
            call()
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        else:
            raise AssertionError("not refused")
    for method, body in [("GET", None), ("PUT", b"x")]:
        status, body = presigned(method, "a/one", body)
        assert status == 403 and f"<Code>{code}</Code>".encode() in body, (status, body)


PHASES = {
    "works": works,
    "refused": lambda: refused("InvalidAccessKeyId"),
    "wrong-secret": lambda: refused("SignatureDoesNotMatch"),
}
PHASES[sys.argv[1]]()
