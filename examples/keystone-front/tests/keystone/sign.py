"""Signs as Amazon's SDK does, and prints what a store hands on for validation.

    sign.py s3v4|s3v2|ec2v4|ec2v2 ACCESS SECRET
"""

import base64
import hashlib
import json
import sys

from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV2Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def s3v4(credentials):
    class Listening(S3SigV4Auth):
        def string_to_sign(self, request, canonical):
            self.signed = super().string_to_sign(request, canonical)
            return self.signed

        def signature(self, text, request):
            self.made = super().signature(text, request)
            return self.made

    auth = Listening(credentials, "s3", "us-east-1")
    auth.add_auth(AWSRequest("GET", "https://s3.example.test/bucket/key?versionId=a%20b"))
    return auth.signed, auth.made


def s3v2(credentials):
    class Listening(HmacV1Auth):
        def sign_string(self, text):
            self.signed, self.made = text, super().sign_string(text)
            return self.made

    auth = Listening(credentials)
    request = AWSRequest("PUT", "https://s3.example.test/bucket/key", {"Content-Type": "a/b"})
    request.auth_path = "/bucket/key"
    auth.add_auth(request)
    return auth.signed, auth.made


def ec2v4(credentials):
    body = b"Action=DescribeInstances&Version=2016-11-15"
    request = AWSRequest("POST", "https://ec2.example.test/services/Cloud", data=body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    SigV4Auth(credentials, "ec2", "us-east-1").add_auth(request)
    headers = dict(request.headers.items()) | {"Host": "ec2.example.test"}
    return {
        "signature": headers["Authorization"].rpartition("Signature=")[2],
        "verb": "POST",
        "host": "ec2.example.test",
        "path": "/services/Cloud",
        "headers": headers,
        "params": {"Action": "DescribeInstances", "Version": "2016-11-15"},
        "body_hash": hashlib.sha256(body).hexdigest(),
    }


def ec2v2(credentials):
    request = AWSRequest("POST", "https://ec2.example.test/services/Cloud")
    request.data = {"Action": "DescribeInstances", "Filter.1.Value": "a b/c~d*e"}
    SigV2Auth(credentials).add_auth(request)
    params = dict(request.data)
    return {
        "signature": params.pop("Signature"),
        "verb": "POST",
        "host": "ec2.example.test",
        "path": "/services/Cloud",
        "params": params,
    }


_, how, access, secret = sys.argv
credentials = Credentials(access, secret)
if how.startswith("s3"):
    text, signature = {"s3v4": s3v4, "s3v2": s3v2}[how](credentials)
    token = base64.urlsafe_b64encode(text.encode()).decode()
    signed = {"token": token, "signature": signature}
else:
    signed = {"ec2v4": ec2v4, "ec2v2": ec2v2}[how](credentials)
print(json.dumps({"credentials": {"access": access, **signed}}))
