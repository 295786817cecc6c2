"""Creates a key over HTTPS, uses it with boto3, and lists credentials.

The server is in S3_ENDPOINT. AWS_CA_BUNDLE names the authority to trust, for boto3 and for the
calls of the credential API.
"""

import json
import os
import ssl
import urllib.request

import boto3
from botocore.config import Config

ENDPOINT = os.environ["S3_ENDPOINT"]
context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
)


def call(path, body=None):
    headers = {"X-Auth-Token": "dev-alice", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(ENDPOINT + path, headers=headers, data=data)
    with opener.open(request) as response:
        return json.load(response)


key = call("/credentials/", {"credential": {"type": "ec2"}})["credential"]["blob"]
s3 = boto3.client(
    "s3",
    endpoint_url=ENDPOINT,
    aws_access_key_id=key["access"],
    aws_secret_access_key=key["secret"],
    config=Config(s3={"addressing_style": "path"}, proxies={}),
)
s3.create_bucket(Bucket="demo")
s3.put_object(Bucket="demo", Key="a/one", Body=b"first")
assert s3.get_object(Bucket="demo", Key="a/one")["Body"].read() == b"first"
listed = call("/credentials")["credentials"]
assert [credential["blob"]["access"] for credential in listed] == [key["access"]], listed
