"""Signs random requests with botocore, each way it has, and prints each as a line of JSON.

    sign.py COUNT SEED

A line has: how, access, secret, method, url, headers (a list of pairs), body (base64).
"""

import base64
import json
import random
import string
import sys

from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode, percent_encode_sequence

ODD = "/ +%~*('!)=&;:@,$?#[]\"\\<>|^`{}._-äß日"
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))
SUBRESOURCES = ["acl", "partNumber", "response-content-type", "uploadId", "uploads", "versionId"]
HEADERS = [
    "Cache-Control", "Content-Type", "If-Match", "Range", "X-Amz-Acl", "X-Amz-Meta-A",
    "X-Amz-Meta-A-B", "x-amz-meta-a1", "X-Custom",
]


def text(least, most):
    letters = ODD + string.ascii_letters
    return "".join(random.choice(letters) for _ in range(random.randint(least, most)))


def word():
    return "".join(random.choice(PRINTABLE.strip()) for _ in range(random.randint(1, 6)))


def header_value():
    words = [word() for _ in range(random.randint(0, 3))]
    return random.choice(["", " "]) + random.choice([" ", "   "]).join(words)


def key_pair():
    # An access key is signed as it is, so it must not hold what divides the header.
    letters = [letter for letter in PRINTABLE if letter not in " /:"]
    access = "".join(random.choice(letters) for _ in range(random.randint(1, 128)))
    secret = "".join(random.choice(PRINTABLE) for _ in range(random.randint(1, 256)))
    return Credentials(access, secret)


def sign(how):
    key, region = key_pair(), random.choice(["us-east-1", "eu-west-1", "default"])
    presigned, old = how.startswith("query"), how.endswith("v2")
    scheme = random.choice(["http", "https"])
    url = f"{scheme}://s3.example.org:8338/bucket/" + percent_encode(text(0, 20), safe="/~")
    query = {text(1, 8): text(0, 8) for _ in range(random.randint(0, 4))}
    query.update({name: text(0, 8) for name in random.sample(SUBRESOURCES, random.randint(0, 3))})
    if query:
        url += "?" + percent_encode_sequence(query)
    headers = [(name, header_value()) for name in random.sample(HEADERS, random.randint(0, 4))]
    body = random.randbytes(random.randint(0, 40))
    method = random.choice(["GET", "PUT", "POST", "DELETE", "HEAD"])

    request = AWSRequest(method, url, data=b"" if presigned else body)
    for name, value in headers:
        request.headers.add_header(name, value)
    if how == "header-v4":
        if random.random() < 0.3:
            request.headers["Date"] = "replaced by the time of signing"
        if random.random() < 0.3:
            # Over https, a body with a digest need not be signed.
            request.context["has_streaming_input"] = True
            request.headers["Content-MD5"] = "any"
        S3SigV4Auth(key, "s3", region).add_auth(request)
    elif how == "query-v4":
        S3SigV4QueryAuth(key, "s3", region, expires=random.randint(60, 604800)).add_auth(request)
    elif how == "header-v2":
        HmacV1Auth(key).add_auth(request)
    else:
        HmacV1QueryAuth(key).add_auth(request)
    prepared = request.prepare()
    if not presigned:
        headers = list(prepared.headers.items())
    # What a presigned URL was signed with, its user has to send.
    return {
        "how": how, "access": key.access_key, "secret": key.secret_key, "method": method,
        "url": prepared.url, "headers": headers, "body": base64.b64encode(body).decode(),
    }


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    random.seed(seed)
    for number in range(count):
        how = ["header-v4", "query-v4", "header-v2", "query-v2"][number % 4]
        signed = sign(how)
        signed["headers"] = [
            [name, value.decode() if isinstance(value, bytes) else value]
            for name, value in signed["headers"]
        ]
        print(json.dumps(signed))


main()
