"""What a holder of an S3 key does, with boto3.

    s3_cycle.py works | CODE

The key is in the usual AWS_* variables, the server in S3_ENDPOINT, the bucket in
S3_BUCKET. Ends with an
exception if the server does not do all of it, or does not refuse all of it with CODE.
"""

import contextlib
import io
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]
BUCKET = os.environ["S3_BUCKET"]
PART = 5 << 20


def client(endpoint=ENDPOINT, verify=None, **s3):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        verify=verify,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path", **s3},
            # What refuses a request before its body came may hang up, and the next
            # request on that connection must be sent again. Refusals are not retried.
            retries={"total_max_attempts": 3},
            proxies={},
        ),
    )


s3 = client()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, **request):
    """The status and body that a request is answered with."""
    try:
        with opener.open(urllib.request.Request(url, **request)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def presigned(method, key, body=None):
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    url = s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key})
    return fetch(url, data=body, method=method)


def post(key, body, longest=100):
    """Uploads as a browser does, by a form that was signed for it."""
    conditions = [["content-length-range", 1, longest]]
    form = s3.generate_presigned_post(BUCKET, key, Conditions=conditions)
    boundary = "a-boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    text = "".join(f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
    text += f'{head}file"; filename="a file"\r\nContent-Type: text/plain\r\n\r\n'
    data = text.encode() + body + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return fetch(form["url"], data=data, headers=kind, method="POST")


class Stream(io.RawIOBase):
    """A body that can be read only once."""

    def __init__(self, body):
        self.rest = io.BytesIO(body)

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size=-1):
        return self.rest.read(size)


@contextlib.contextmanager
def over_tls():
    """A client that speaks TLS: to a door in front of the server, which knows none."""

    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve():
        while True:
            try:
                outside, _ = door.accept()
            except OSError:
                return
            outside = context.wrap_socket(outside, server_side=True)
            host, port = ENDPOINT.removeprefix("http://").split(":")
            inside = socket.create_connection((host, int(port)))
            for way in [(outside, inside), (inside, outside)]:
                threading.Thread(target=pass_on, args=way, daemon=True).start()

    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as door:
        certificate, key = f"{folder}/certificate", f"{folder}/key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-out", certificate, "-keyout", key],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        threading.Thread(target=serve, daemon=True).start()
        yield client(f"https://127.0.0.1:{door.getsockname()[1]}", verify=certificate)


def read(key, **how):
    return s3.get_object(Bucket=BUCKET, Key=key, **how)["Body"].read()


def keys():
    listed = s3.list_objects_v2(Bucket=BUCKET)
    return sorted(entry["Key"] for entry in listed.get("Contents", []))


def works():
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)

    s3.put_object(Bucket=BUCKET, Key="a/one", Body=b"first", Metadata={"color": "red"})
    assert read("a/one") == b"first"
    assert read("a/one", Range="bytes=1-2") == b"ir"
    head = s3.head_object(Bucket=BUCKET, Key="a/one")
    assert (head["ContentLength"], head["Metadata"]) == (5, {"color": "red"}), head

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

    # Bytes whose hash is not signed, and a key that must be encoded.
    unsigned = client(payload_signing_enabled=False)
    unsigned.put_object(Bucket=BUCKET, Key="a/fö ur", Body=b"unsigned")
    assert read("a/fö ur") == b"unsigned"

    # In chunks that nobody signs, with a checksum behind them.
    with over_tls() as secure:
        for algorithm in ["CRC32", "SHA1", "SHA256"]:
            body = algorithm.encode() * 100_000
            secure.put_object(
                Bucket=BUCKET, Key="a/five", Body=Stream(body), ContentLength=len(body),
                ChecksumAlgorithm=algorithm,
            )
            assert read("a/five") == body

    expected = ["a/five", "a/fö ur", "a/one", "a/three", "a/two"]
    status, said = post("a/six", b"posted")
    assert status in (200, 201, 204), (status, said)
    assert read("a/six") == b"posted"
    status, said = post("a/seven", b"too much", longest=3)
    assert status == 400 and b"<Code>EntityTooLarge</Code>" in said, (status, said)
    expected.insert(3, "a/six")
    assert keys() == expected, keys()

    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in expected[:-1]]})
    assert keys() == ["a/two"], keys()


def refused(code):
    calls = [
        lambda: s3.list_buckets(),
        lambda: s3.list_objects_v2(Bucket=BUCKET),
        lambda: s3.get_object(Bucket=BUCKET, Key="a/one"),
        lambda: s3.put_object(Bucket=BUCKET, Key="a/eight", Body=b"x"),
        lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="a/eight"),
    ]
    for call in calls:
        try:
            call()
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
        else:
            raise AssertionError("not refused")
    answers = [presigned("GET", "a/one"), presigned("PUT", "a/one", b"x")]
    answers.append(post("a/one", b"x"))
    for status, said in answers:
        assert status == 403 and f"<Code>{code}</Code>".encode() in said, (status, said)


if sys.argv[1] == "works":
    works()
else:
    refused(sys.argv[1])
