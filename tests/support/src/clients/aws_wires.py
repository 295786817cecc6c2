"""What the scripts of this folder share that use STS, IAM and session credentials with boto3.

The key is in the usual AWS_* variables, the server in S3_ENDPOINT, the bucket in S3_BUCKET. The
bucket has the object `outside/secret`, and there is a bucket `other` with `team/x`. USER_ID is the
owner of the key, API_TOKEN a token of that user for the server's other dialects.
"""

import datetime
import json
import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = os.environ["S3_BUCKET"]
USER = os.environ["USER_ID"]
ACCESS_KEY = os.environ["AWS_ACCESS_KEY_ID"]
ACCOUNT = "000000000000"
SECRET = "outside/secret"
CONFIG = Config(signature_version="s3v4", s3={"addressing_style": "path"})
# Nothing is repeated: a refusal is a result.
QUERY_CONFIG = Config(retries={"total_max_attempts": 1})
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                "Resource": f"arn:aws:s3:::{BUCKET}/team/*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:aws:s3:::{BUCKET}",
                "Condition": {"StringLike": {"s3:prefix": "team/*"}},
            },
        ],
    }
)
ROLE = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/etl", "RoleSessionName": "nightly"}

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sts = boto3.client("sts", endpoint_url=ENDPOINT, config=QUERY_CONFIG)
iam = boto3.client("iam", endpoint_url=ENDPOINT, config=QUERY_CONFIG)


def client(service, issued=None):
    """A client with the credentials of a session, or with the key."""
    names = {"aws_access_key_id": "AccessKeyId", "aws_secret_access_key": "SecretAccessKey"}
    names["aws_session_token"] = "SessionToken"
    credentials = {name: issued[member] for name, member in names.items()} if issued else {}
    config = CONFIG if service == "s3" else QUERY_CONFIG
    return boto3.client(service, endpoint_url=ENDPOINT, config=config, **credentials)


def fetch(url, method="GET", body=None, headers=None):
    """The status and body of the response to a request."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def fails(code, status, call, *arguments, **parameters):
    """Checks the error of a call, and returns it."""
    try:
        result = call(*arguments, **parameters)
    except ClientError as error:
        answer = error.response
        # The server closes the connection before it read the body. The rest of its response can
        # be lost then, and botocore reports the status.
        assert answer["Error"]["Code"] in (code, str(status)), (code, error)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, (status, answer)
        return error
    raise AssertionError(f"not refused with {code}: {result}")


def issued(answer, seconds):
    """Checks the credentials in a response, and returns them."""
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA"), credentials["AccessKeyId"]
    assert len(credentials["SecretAccessKey"]) == 40
    left = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert seconds - 120 <= left.total_seconds() <= seconds + 120, left
    return credentials
