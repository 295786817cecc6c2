"""What the holder of a key for one prefix of one bucket does, with boto3 or with minio-py.

    bounded_cycle.py boto3 | minio

The key is in the usual AWS_* variables, the server in S3_ENDPOINT, the bucket in S3_BUCKET.
The key may read and write below `team/`. The bucket also has the object `outside/secret`.
Ends with an exception if the server refuses a request within the prefix, or does not refuse
one outside with 403 AccessDenied.
"""

import io
import os
import sys
import urllib.error
import urllib.request

ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = os.environ["S3_BUCKET"]
SECRET = "outside/secret"
PART = 5 << 20

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, method="GET", body=None):
    """The status and body that a request is answered with."""
    try:
        with opener.open(urllib.request.Request(url, data=body, method=method)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def check_refused_url(url, method="GET", body=None):
    status, said = fetch(url, method, body)
    assert status == 403 and b"<Code>AccessDenied</Code>" in said, (status, said)


def with_boto3():
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # A server that refuses a request before its body arrives may close the connection.
        retries={"total_max_attempts": 3},
        proxies={},
    )
    s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=config)

    def read(key):
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def keys():
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="team/")
        return sorted(entry["Key"] for entry in listed.get("Contents", []))

    def presigned(operation, key):
        return s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key})

    s3.head_bucket(Bucket=BUCKET)
    s3.get_bucket_location(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="team/one", Body=b"first", Metadata={"color": "red"})
    assert read("team/one") == b"first"
    assert s3.head_object(Bucket=BUCKET, Key="team/one")["ContentLength"] == 5
    listed = s3.list_objects(Bucket=BUCKET, Prefix="team/", Delimiter="/")
    assert [entry["Key"] for entry in listed["Contents"]] == ["team/one"], listed

    two = {"Bucket": BUCKET, "Key": "team/two"}
    upload = s3.create_multipart_upload(**two)["UploadId"]
    parts = []
    for number, body in enumerate([b"1" * PART, b"2" * 1000], start=1):
        part = s3.upload_part(**two, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert len(s3.list_parts(**two, UploadId=upload)["Parts"]) == 2
    s3.complete_multipart_upload(**two, UploadId=upload, MultipartUpload={"Parts": parts})
    assert read("team/two") == b"1" * PART + b"2" * 1000
    upload = s3.create_multipart_upload(**two)["UploadId"]
    s3.upload_part(**two, UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**two, UploadId=upload)

    s3.copy_object(Bucket=BUCKET, Key="team/copy of", CopySource={"Bucket": BUCKET, "Key": "team/one"})
    assert read("team/copy of") == b"first"
    assert fetch(presigned("put_object", "team/signed"), "PUT", b"presigned")[0] == 200
    assert fetch(presigned("get_object", "team/signed")) == (200, b"presigned")
    expected = ["team/copy of", "team/one", "team/signed", "team/two"]
    assert keys() == expected, keys()
    s3.put_object(Bucket=BUCKET, Key="team/deep/er", Body=b"")
    s3.delete_object(Bucket=BUCKET, Key="team/deep/er")

    inside = {"Bucket": BUCKET, "Key": "team/x"}
    outside = {"Bucket": BUCKET, "Key": SECRET}
    copy = {"CopySource": {"Bucket": BUCKET, "Key": SECRET}}
    upload = s3.create_multipart_upload(**inside)["UploadId"]
    mixed = {"Objects": [{"Key": "team/one"}, {"Key": SECRET}]}
    calls = [
        lambda: s3.list_buckets(),
        lambda: s3.create_bucket(Bucket="another"),
        lambda: s3.delete_bucket(Bucket=BUCKET),
        lambda: s3.list_objects(Bucket=BUCKET),
        lambda: s3.list_objects_v2(Bucket=BUCKET),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Delimiter="/"),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="team"),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="outside/"),
        lambda: s3.list_objects_v2(Bucket="other", Prefix="team/"),
        lambda: s3.list_multipart_uploads(Bucket=BUCKET),
        lambda: s3.get_object(**outside),
        lambda: s3.get_object(Bucket="other", Key="team/x"),
        lambda: s3.put_object(**outside, Body=b"x"),
        lambda: s3.put_object(**inside, Body=b"x", ACL="public-read"),
        lambda: s3.delete_object(**outside),
        lambda: s3.delete_objects(Bucket=BUCKET, Delete=mixed),
        lambda: s3.copy_object(**inside, **copy),
        lambda: s3.copy_object(**outside, CopySource={"Bucket": BUCKET, "Key": "team/one"}),
        lambda: s3.upload_part_copy(**inside, UploadId=upload, PartNumber=1, **copy),
        lambda: s3.create_multipart_upload(**outside),
        lambda: s3.upload_part(**outside, UploadId=upload, PartNumber=1, Body=b"x"),
        lambda: s3.abort_multipart_upload(**outside, UploadId=upload),
        lambda: s3.put_object_acl(**inside, ACL="public-read"),
        lambda: s3.put_bucket_policy(Bucket=BUCKET, Policy="{}"),
    ]
    for number, call in enumerate(calls):
        try:
            call()
        except ClientError as error:
            codes = ["AccessDenied"]
            # The server closes the connection before it read the body. The rest of its
            # response can be lost then, and botocore reports the status.
            if error.operation_name in ("PutObject", "UploadPart"):
                codes.append("403")
            assert error.response["Error"]["Code"] in codes, (number, error)
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (number, error)
        else:
            raise AssertionError(f"call {number} is not refused")
    try:
        s3.head_object(**outside)
        raise AssertionError("HEAD is not refused")
    except ClientError as error:
        # The response to a HEAD has no body, so it has no code.
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
    check_refused_url(presigned("get_object", SECRET))
    check_refused_url(presigned("put_object", SECRET), "PUT", b"x")
    s3.abort_multipart_upload(**inside, UploadId=upload)

    # The refused deletion of two keys deleted neither.
    assert keys() == expected, keys()
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in expected]})
    assert keys() == [], keys()


def with_minio():
    from minio import Minio
    from minio.commonconfig import CopySource
    from minio.deleteobjects import DeleteObject
    from minio.error import S3Error

    # Without a region, minio-py asks for the location of the bucket first.
    client = Minio(
        ENDPOINT.removeprefix("http://"),
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        secure=False,
        region="us-east-1",
    )

    def put(key, body):
        client.put_object(BUCKET, key, io.BytesIO(body), len(body), part_size=PART)

    def read(key):
        answer = client.get_object(BUCKET, key)
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    def keys(prefix="team/", bucket=BUCKET):
        listed = client.list_objects(bucket, prefix=prefix, recursive=True)
        return sorted(entry.object_name for entry in listed)

    def delete_all(names):
        return list(client.remove_objects(BUCKET, [DeleteObject(name) for name in names]))

    put("team/one", b"first")
    assert read("team/one") == b"first"
    assert client.stat_object(BUCKET, "team/one").size == 5
    put("team/two", b"1" * PART + b"2" * 1000)
    assert read("team/two") == b"1" * PART + b"2" * 1000
    client.copy_object(BUCKET, "team/copy of", CopySource(BUCKET, "team/one"))
    upload = client._create_multipart_upload(BUCKET, "team/two", {})
    client._abort_multipart_upload(BUCKET, "team/two", upload)
    assert fetch(client.presigned_put_object(BUCKET, "team/signed"), "PUT", b"presigned")[0] == 200
    assert fetch(client.presigned_get_object(BUCKET, "team/signed")) == (200, b"presigned")
    expected = ["team/copy of", "team/one", "team/signed", "team/two"]
    assert keys() == expected, keys()
    put("team/x", b"x")
    client.remove_object(BUCKET, "team/x")

    calls = [
        lambda: client.list_buckets(),
        lambda: client.make_bucket("another"),
        lambda: keys(""),
        lambda: keys("outside/"),
        lambda: keys("team/", "other"),
        lambda: read(SECRET),
        lambda: put(SECRET, b"x"),
        lambda: put("outside/large", b"1" * PART + b"2"),
        lambda: client.remove_object(BUCKET, SECRET),
        lambda: delete_all(["team/one", SECRET]),
        lambda: client.copy_object(BUCKET, "team/x", CopySource(BUCKET, SECRET)),
        lambda: client.copy_object(BUCKET, SECRET, CopySource(BUCKET, "team/one")),
        lambda: client.stat_object(BUCKET, SECRET),
    ]
    for number, call in enumerate(calls):
        try:
            call()
        except S3Error as error:
            assert error.code == "AccessDenied", (number, error)
        else:
            raise AssertionError(f"call {number} is not refused")
    check_refused_url(client.presigned_get_object(BUCKET, SECRET))
    check_refused_url(client.presigned_put_object(BUCKET, SECRET), "PUT", b"x")
    assert keys() == expected, keys()
    assert delete_all(expected) == []
    assert keys() == [], keys()


{"boto3": with_boto3, "minio": with_minio}[sys.argv[1]]()
