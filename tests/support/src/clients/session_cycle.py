"""What the holder of a key does with STS and session credentials, with boto3.

    session_cycle.py sessions | refresh | errors

See aws_wires.py for the variables. Ends with an exception if the server does not behave as AWS does.
"""

import json
import sys
import uuid

sys.dont_write_bytecode = True

import boto3
import botocore.session
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError

from aws_wires import (
    ACCESS_KEY,
    ACCOUNT,
    BUCKET,
    CONFIG,
    ENDPOINT,
    POLICY,
    ROLE,
    SECRET,
    USER,
    client,
    fails,
    fetch,
    iam,
    issued,
    sts,
)

PART = 5 << 20


def post_form(s3, key, body):
    """Uploads an object with a form, and returns the status and the body of the response."""
    form = s3.generate_presigned_post(BUCKET, key)
    assert "x-amz-security-token" in form["fields"], form["fields"].keys()
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form["fields"].items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="x"\r\n'
    parts.append(f"--{boundary}\r\n{head}\r\n".encode() + body + f"\r\n--{boundary}--\r\n".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return fetch(form["url"], "POST", b"".join(parts), headers)


def check_within(s3):
    """Checks that a client may do its work below `team/`, and ends without objects there."""

    def read(key):
        return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    s3.put_object(Bucket=BUCKET, Key="team/one", Body=b"first")
    assert read("team/one") == b"first"
    two = {"Bucket": BUCKET, "Key": "team/two"}
    upload = s3.create_multipart_upload(**two)["UploadId"]
    parts = []
    for number, body in enumerate([b"1" * PART, b"2" * 1000], start=1):
        part = s3.upload_part(**two, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**two, UploadId=upload, MultipartUpload={"Parts": parts})
    assert read("team/two") == b"1" * PART + b"2" * 1000
    upload = s3.create_multipart_upload(**two)["UploadId"]
    s3.abort_multipart_upload(**two, UploadId=upload)
    url = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "team/signed"})
    assert fetch(url, "PUT", b"presigned")[0] == 200
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "team/signed"})
    assert fetch(url) == (200, b"presigned")
    status, said = post_form(s3, "team/form", b"posted")
    assert status in (200, 204), (status, said)
    assert read("team/form") == b"posted"

    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="team/")
    names = [entry["Key"] for entry in listed["Contents"]]
    assert names == ["team/form", "team/one", "team/signed", "team/two"], names
    s3.delete_object(Bucket=BUCKET, Key="team/one")
    rest = [{"Key": name} for name in names[:1] + names[2:]]
    assert "Errors" not in s3.delete_objects(Bucket=BUCKET, Delete={"Objects": rest})
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="team/")


def check_nothing_outside(s3):
    """Checks that a client may do nothing outside of `team/`."""
    outside = {"Bucket": BUCKET, "Key": SECRET}
    mixed = {"Objects": [{"Key": "team/x"}, {"Key": SECRET}]}
    for call, parameters in [
        (s3.list_buckets, {}),
        (s3.create_bucket, {"Bucket": "another"}),
        (s3.delete_bucket, {"Bucket": BUCKET}),
        (s3.list_objects_v2, {"Bucket": BUCKET}),
        (s3.list_objects_v2, {"Bucket": BUCKET, "Prefix": "team"}),
        (s3.list_objects_v2, {"Bucket": BUCKET, "Prefix": "outside/"}),
        (s3.list_objects_v2, {"Bucket": "other", "Prefix": "team/"}),
        (s3.get_object, outside),
        (s3.get_object, {"Bucket": "other", "Key": "team/x"}),
        (s3.put_object, {**outside, "Body": b"x"}),
        (s3.create_multipart_upload, outside),
        (s3.delete_object, outside),
        (s3.delete_objects, {"Bucket": BUCKET, "Delete": mixed}),
        (s3.copy_object, {"Bucket": BUCKET, "Key": "team/x", "CopySource": outside}),
    ]:
        fails("AccessDenied", 403, call, **parameters)
    for method, operation, body in [("GET", "get_object", None), ("PUT", "put_object", b"x")]:
        status, said = fetch(s3.generate_presigned_url(operation, outside), method, body)
        assert status == 403 and b"<Code>AccessDenied</Code>" in said, (status, said)
    status, said = post_form(s3, "outside/form", b"x")
    assert status == 403 and b"<Code>AccessDenied</Code>" in said, (status, said)


def with_sessions():
    own = sts.get_caller_identity()
    assert own["Account"] == ACCOUNT and own["UserId"].startswith("AIDA"), own
    assert own["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{USER}", own

    role = sts.assume_role(**ROLE, Policy=POLICY, DurationSeconds=900)
    credentials = issued(role, 900)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{USER}/nightly"
    assert role["AssumedRoleUser"]["Arn"] == arn, role["AssumedRoleUser"]
    assert role["AssumedRoleUser"]["AssumedRoleId"].endswith(":nightly"), role["AssumedRoleUser"]
    identity = client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == arn, identity
    assert identity["UserId"] == role["AssumedRoleUser"]["AssumedRoleId"], identity
    check_within(client("s3", credentials))
    check_nothing_outside(client("s3", credentials))

    federated = sts.get_federation_token(Name="Bob", Policy=POLICY, DurationSeconds=900)
    credentials = issued(federated, 900)
    assert federated["FederatedUser"] == {
        "FederatedUserId": f"{ACCOUNT}:Bob",
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/Bob",
    }, federated["FederatedUser"]
    assert client("sts", credentials).get_caller_identity()["UserId"] == f"{ACCOUNT}:Bob"
    check_within(client("s3", credentials))
    check_nothing_outside(client("s3", credentials))
    # Without a policy, a federated user may do nothing.
    nothing = client("s3", issued(sts.get_federation_token(Name="Bob"), 43_200))
    fails("AccessDenied", 403, nothing.list_objects_v2, Bucket=BUCKET, Prefix="team/")

    # A session of the whole user.
    for answer, seconds in [(sts.assume_role(**ROLE), 3_600), (sts.get_session_token(), 43_200)]:
        s3 = client("s3", issued(answer, seconds))
        check_within(s3)
        assert s3.get_object(Bucket=BUCKET, Key=SECRET)["Body"].read() == b"SECRET"
        assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    user = client("sts", sts.get_session_token(DurationSeconds=900)["Credentials"])
    assert user.get_caller_identity()["Arn"] == own["Arn"]


def with_refresh():
    """Credentials that end within minutes are refreshed before each request."""
    count = 0

    def assume():
        nonlocal count
        count += 1
        answer = sts.assume_role(**ROLE, Policy=POLICY, DurationSeconds=900)["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    session = botocore.session.get_session()
    session._credentials = RefreshableCredentials.create_from_metadata(assume(), assume, "sts-assume-role")
    s3 = boto3.Session(botocore_session=session).client("s3", endpoint_url=ENDPOINT, config=CONFIG)
    before = count
    check_within(s3)
    assert count > before, "no refresh"
    check_nothing_outside(s3)


def with_errors():
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    large = {**policy, "Id": "x" * 2_048}
    bad = {**policy, "Statement": [{**policy["Statement"][0], "Effect": "allow"}]}
    assume = sts.assume_role
    unknown = {"AccessKeyId": "A" * 20}
    malformed = sts.exceptions.MalformedPolicyDocumentException
    for exception, code, status, call, parameters in [
        (malformed, "MalformedPolicyDocument", 400, assume, {**ROLE, "Policy": json.dumps(bad)}),
        (malformed, "MalformedPolicyDocument", 400, assume, {**ROLE, "Policy": "policy"}),
        (
            sts.exceptions.PackedPolicyTooLargeException,
            "PackedPolicyTooLarge",
            400,
            assume,
            {**ROLE, "Policy": json.dumps(large)},
        ),
        (ClientError, "ValidationError", 400, assume, {**ROLE, "DurationSeconds": 43_201}),
        (ClientError, "ValidationError", 400, sts.get_session_token, {"DurationSeconds": 129_601}),
        (ClientError, "AccessDenied", 403, assume, {**ROLE, "TokenCode": "123456"}),
        (iam.exceptions.NoSuchEntityException, "NoSuchEntity", 404, iam.delete_access_key, unknown),
        (
            iam.exceptions.InvalidInputException,
            "InvalidInput",
            400,
            iam.update_access_key,
            {"AccessKeyId": ACCESS_KEY, "Status": "Expired"},
        ),
        (ClientError, "AccessDenied", 403, iam.list_access_keys, {"UserName": "somebody"}),
        (ClientError, "InvalidAction", 400, iam.create_user, {"UserName": "somebody"}),
    ]:
        error = fails(code, status, call, **parameters)
        assert isinstance(error, exception), error
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["RequestId"], error.response

    unknown = {**unknown, "SecretAccessKey": "x", "SessionToken": None}
    fails("InvalidClientTokenId", 403, client("sts", unknown).get_caller_identity)
    wrong = {**unknown, "AccessKeyId": ACCESS_KEY}
    fails("SignatureDoesNotMatch", 403, client("sts", wrong).get_caller_identity)

    session = sts.assume_role(**ROLE)["Credentials"]
    # Sessions mint no sessions, and have nothing to do with keys.
    fails("AccessDenied", 403, client("sts", session).assume_role, **ROLE)
    fails("AccessDenied", 403, client("sts", session).get_session_token)
    fails("AccessDenied", 403, client("sts", session).get_federation_token, Name="Bob")
    fails("AccessDenied", 403, client("iam", session).create_access_key)
    fails("AccessDenied", 403, client("iam", session).list_access_keys, UserName=USER)
    tokenless = {**session, "SessionToken": None}
    fails("InvalidClientTokenId", 403, client("sts", tokenless).get_caller_identity)
    fails("InvalidAccessKeyId", 403, client("s3", tokenless).list_buckets)
    other = {**session, "SessionToken": sts.assume_role(**ROLE)["Credentials"]["SessionToken"]}
    fails("InvalidClientTokenId", 403, client("sts", other).get_caller_identity)
    fails("InvalidToken", 400, client("s3", other).list_buckets)
    changed = {**session, "SecretAccessKey": "x" * 40}
    fails("SignatureDoesNotMatch", 403, client("s3", changed).list_buckets)


{"sessions": with_sessions, "refresh": with_refresh, "errors": with_errors}[sys.argv[1]]()
