"""What the holder of a key does with IAM, with boto3, and how that ends sessions.

    iam_cycle.py keys | disabled

See aws_wires.py for the variables. Ends with an exception if the server does not behave as AWS does.
"""

import json
import os
import sys

sys.dont_write_bytecode = True

from aws_wires import (
    ACCESS_KEY,
    ACCOUNT,
    BUCKET,
    ENDPOINT,
    POLICY,
    ROLE,
    USER,
    client,
    fails,
    fetch,
    iam,
)


def call_api(method, path, body=None):
    """Calls another dialect with the token of the user, and returns the JSON of the response."""
    headers = {"X-Auth-Token": os.environ["API_TOKEN"], "Content-Type": "application/json"}
    status, said = fetch(ENDPOINT + path, method, body and json.dumps(body).encode(), headers)
    assert 200 <= status < 300, (status, said)
    return json.loads(said)


def set_status(access_key, status):
    """Enables or disables a key in IBM's dialect."""
    body = {"credential": {"blob": {"status": status}}}
    call_api("PATCH", f"/credentials/{access_key}", body)


def with_keys():
    user = iam.get_user()["User"]
    assert user["UserName"] == USER and user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{USER}", user
    assert iam.get_user(UserName=USER)["User"] == user
    iam.get_waiter("user_exists").wait(UserName=USER, WaiterConfig={"Delay": 1, "MaxAttempts": 1})

    made = iam.create_access_key(UserName=USER)["AccessKey"]
    assert (made["UserName"], made["Status"]) == (USER, "Active"), made
    new = made["AccessKeyId"]
    credentials = {**made, "SessionToken": None}
    last = iam.get_access_key_last_used(AccessKeyId=new)
    assert last["UserName"] == USER, last
    assert last["AccessKeyLastUsed"]["ServiceName"] == "N/A", last
    assert "LastUsedDate" not in last["AccessKeyLastUsed"], last

    # The new key is in the lists of the other dialects.
    listed = call_api("GET", "/credentials/")["credentials"]
    assert new in [entry["blob"]["access"] for entry in listed], listed
    listed = call_api("GET", f"/v3/credentials?user_id={USER}")["credentials"]
    assert new in [json.loads(entry["blob"])["access"] for entry in listed], listed

    pages = iam.get_paginator("list_access_keys").paginate(PaginationConfig={"PageSize": 1})
    pages = [page["AccessKeyMetadata"] for page in pages]
    assert all(len(page) <= 1 for page in pages), pages
    found = [entry for page in pages for entry in page]
    assert {ACCESS_KEY, new} <= {entry["AccessKeyId"] for entry in found}, found
    assert all("SecretAccessKey" not in entry for entry in found), found
    assert iam.list_access_keys(UserName=USER)["AccessKeyMetadata"] == found
    assert made["CreateDate"] in [entry["CreateDate"] for entry in found], found

    s3 = client("s3", credentials)
    s3.list_objects_v2(Bucket=BUCKET)
    session = client("sts", credentials).get_session_token()["Credentials"]
    in_session = client("s3", session)
    in_session.list_objects_v2(Bucket=BUCKET)
    for status in ["Inactive", "Inactive", "Active", "Active"]:
        iam.update_access_key(AccessKeyId=new, Status=status)
        listed = iam.list_access_keys()["AccessKeyMetadata"]
        assert status in [entry["Status"] for entry in listed if entry["AccessKeyId"] == new], listed
        if status == "Inactive":
            fails("InvalidAccessKeyId", 403, s3.list_objects_v2, Bucket=BUCKET)
            fails("InvalidAccessKeyId", 403, in_session.list_objects_v2, Bucket=BUCKET)
        else:
            s3.list_objects_v2(Bucket=BUCKET)
    # A key may delete itself.
    client("iam", credentials).delete_access_key(UserName=USER, AccessKeyId=new)
    fails("InvalidAccessKeyId", 403, s3.list_objects_v2, Bucket=BUCKET)
    fails("InvalidClientTokenId", 403, client("sts", credentials).get_caller_identity)
    fails("NoSuchEntity", 404, iam.delete_access_key, AccessKeyId=new)
    fails("NoSuchEntity", 404, iam.get_access_key_last_used, AccessKeyId=new)


def with_a_disabled_key():
    made = iam.create_access_key()["AccessKey"]
    key = {**made, "SessionToken": None}
    issuer = client("sts", key)
    sessions = [
        issuer.assume_role(**ROLE),
        issuer.get_session_token(),
        issuer.get_federation_token(Name="Bob", Policy=POLICY),
    ]
    sessions = [answer["Credentials"] for answer in sessions]
    for session in sessions:
        client("s3", session).list_objects_v2(Bucket=BUCKET, Prefix="team/")
    set_status(made["AccessKeyId"], "Inactive")
    for session in sessions:
        fails("InvalidAccessKeyId", 403, client("s3", session).list_objects_v2, Bucket=BUCKET, Prefix="team/")
        fails("InvalidClientTokenId", 403, client("sts", session).get_caller_identity)
    fails("InvalidClientTokenId", 403, issuer.get_session_token)
    # Enabling the key again does not bring back the sessions of before.
    set_status(made["AccessKeyId"], "Active")
    client("s3", issuer.get_session_token()["Credentials"]).list_objects_v2(Bucket=BUCKET)
    for session in sessions:
        s3 = client("s3", session)
        fails("ExpiredToken", 400, s3.list_objects_v2, Bucket=BUCKET, Prefix="team/")


{"keys": with_keys, "disabled": with_a_disabled_key}[sys.argv[1]]()
