"""Sessions that minio-py asks for and uses.

See aws_wires.py for the variables. minio-py signs requests to STS with an empty region, and sends
neither a RoleArn nor a RoleSessionName unless it is told to.
Ends with an exception if the server does not behave as other S3 stores do.
"""

import io
import os
import sys

sys.dont_write_bytecode = True

from minio import Minio
from minio.credentials import AssumeRoleProvider
from minio.error import S3Error

from aws_wires import ACCESS_KEY, BUCKET, ENDPOINT, POLICY, ROLE, SECRET

SECRET_KEY = os.environ["AWS_SECRET_ACCESS_KEY"]


def provider(**settings):
    return AssumeRoleProvider(
        sts_endpoint=ENDPOINT, access_key=ACCESS_KEY, secret_key=SECRET_KEY, **settings
    )


def client(credentials):
    return Minio(ENDPOINT.removeprefix("http://"), credentials=credentials, secure=False, region="us-east-1")


def read(store, key):
    answer = store.get_object(BUCKET, key)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def keys(store, prefix, bucket=BUCKET):
    return sorted(entry.object_name for entry in store.list_objects(bucket, prefix=prefix, recursive=True))


def check_within(store):
    for key, body in [("team/one", b"first"), ("team/two", b"2" * (6 << 20))]:
        store.put_object(BUCKET, key, io.BytesIO(body), len(body), part_size=5 << 20)
        assert read(store, key) == body
    assert keys(store, "team/") == ["team/one", "team/two"], keys(store, "team/")
    for key in keys(store, "team/"):
        store.remove_object(BUCKET, key)
    assert keys(store, "team/") == []


def refused(call):
    try:
        call()
    except S3Error as error:
        assert error.code == "AccessDenied", error
    else:
        raise AssertionError("not refused")


role = {"role_arn": ROLE["RoleArn"], "role_session_name": "nightly"}
for settings in [{}, {"region": "eu-west-1"}, role, {"duration_seconds": 7_200}]:
    store = client(provider(**settings))
    assert BUCKET in [bucket.name for bucket in store.list_buckets()]
    assert read(store, SECRET) == b"SECRET"
    check_within(store)
for settings in [{}, role]:
    credentials = provider(policy=POLICY, **settings)
    assert credentials.retrieve().access_key.startswith("ASIA")
    store = client(credentials)
    check_within(store)
    for call in [
        lambda: store.list_buckets(),
        lambda: keys(store, ""),
        lambda: keys(store, "team/", "other"),
        lambda: read(store, SECRET),
        lambda: store.put_object(BUCKET, SECRET, io.BytesIO(b"x"), 1),
        lambda: store.remove_object(BUCKET, SECRET),
        lambda: store.stat_object(BUCKET, SECRET),
    ]:
        refused(call)
for settings in [{"policy": "{}"}, {"duration_seconds": 43_201}]:
    try:
        provider(**settings).retrieve()
    except ValueError as error:
        assert "400" in str(error), error
    else:
        raise AssertionError("not refused")
