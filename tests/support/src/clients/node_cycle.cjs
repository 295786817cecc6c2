// What the holder of a key does with STS, IAM and session credentials, with AWS's SDK for JavaScript.
//
// The key is in the usual AWS_* variables, the server in S3_ENDPOINT, the bucket in S3_BUCKET, the
// owner of the key in USER_ID, and a policy that allows to work below `team/` only in POLICY.
// Ends with an error if the server does not behave as AWS does.

const assert = require("node:assert/strict");
const { IAM } = require("@aws-sdk/client-iam");
const { S3 } = require("@aws-sdk/client-s3");
const { STS } = require("@aws-sdk/client-sts");
const { fromTemporaryCredentials } = require("@aws-sdk/credential-providers");

const { S3_ENDPOINT: endpoint, S3_BUCKET: Bucket, USER_ID: user, POLICY: Policy } = process.env;
const region = "us-east-1";
const settings = { endpoint, region, forcePathStyle: true, maxAttempts: 1 };
const RoleArn = "arn:aws:iam::000000000000:role/etl";

async function checkRefusal(call, name, status) {
  await assert.rejects(call, (error) => {
    assert.equal(error.name, name, error);
    assert.equal(error.$metadata.httpStatusCode, status, error);
    return true;
  });
}

async function checkWithin(credentials) {
  const s3 = new S3({ ...settings, credentials });
  await s3.putObject({ Bucket, Key: "team/one", Body: "first" });
  const read = await s3.getObject({ Bucket, Key: "team/one" });
  assert.equal(await read.Body.transformToString(), "first");
  const listed = await s3.listObjectsV2({ Bucket, Prefix: "team/" });
  assert.deepEqual(listed.Contents.map((entry) => entry.Key), ["team/one"]);
  await s3.deleteObject({ Bucket, Key: "team/one" });
  return s3;
}

async function checkNothingOutside(s3) {
  const outside = { Bucket, Key: "outside/secret" };
  for (const call of [
    () => s3.listBuckets({}),
    () => s3.listObjectsV2({ Bucket }),
    () => s3.getObject(outside),
    () => s3.deleteObject(outside),
    () => s3.getObject({ Bucket: "other", Key: "team/x" }),
  ]) {
    await checkRefusal(call, "AccessDenied", 403);
  }
}

function inCamelCase(issued) {
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = issued;
  return { accessKeyId, secretAccessKey, sessionToken };
}

async function main() {
  const sts = new STS(settings);
  const own = await sts.getCallerIdentity({});
  assert.equal(own.Arn, `arn:aws:iam::000000000000:user/${user}`);

  // As other S3 stores allow, without a role.
  const answer = await sts.assumeRole({ RoleSessionName: "nightly", Policy, DurationSeconds: 900 });
  assert.equal(answer.AssumedRoleUser.Arn, `arn:aws:sts::000000000000:assumed-role/${user}/nightly`);
  assert(answer.Credentials.Expiration instanceof Date);
  const issued = inCamelCase(answer.Credentials);
  await checkNothingOutside(await checkWithin(issued));
  const identity = await new STS({ ...settings, credentials: issued }).getCallerIdentity({});
  assert.equal(identity.UserId, answer.AssumedRoleUser.AssumedRoleId);

  // The provider asks again when the credentials are about to end.
  const params = { RoleArn, RoleSessionName: "nightly", DurationSeconds: 900 };
  const provider = (more) =>
    fromTemporaryCredentials({ params: { ...params, ...more }, clientConfig: { endpoint, region } });
  await checkNothingOutside(await checkWithin(provider({ Policy })));
  const whole = await checkWithin(provider({}));
  const secret = await whole.getObject({ Bucket, Key: "outside/secret" });
  assert.equal(await secret.Body.transformToString(), "SECRET");

  const malformed = () => sts.assumeRole({ ...params, Policy: "{}" });
  await checkRefusal(malformed, "MalformedPolicyDocumentException", 400);
  const tooLong = () => sts.assumeRole({ ...params, DurationSeconds: 43201 });
  await checkRefusal(tooLong, "ValidationError", 400);
  const chained = () => new STS({ ...settings, credentials: issued }).assumeRole(params);
  await checkRefusal(chained, "AccessDenied", 403);

  const iam = new IAM(settings);
  const { AccessKey: made } = await iam.createAccessKey({});
  assert.equal(made.UserName, user);
  const { AccessKeyId } = made;
  const key = inCamelCase(made);
  await checkWithin(key);
  const listed = await iam.listAccessKeys({ UserName: user });
  assert(listed.AccessKeyMetadata.some((entry) => entry.AccessKeyId === AccessKeyId));
  await iam.updateAccessKey({ AccessKeyId, Status: "Inactive" });
  const disabled = () => new S3({ ...settings, credentials: key }).listObjectsV2({ Bucket });
  await checkRefusal(disabled, "InvalidAccessKeyId", 403);
  await iam.deleteAccessKey({ AccessKeyId });
  await checkRefusal(() => iam.deleteAccessKey({ AccessKeyId }), "NoSuchEntityException", 404);
  const inSession = () => new IAM({ ...settings, credentials: issued }).createAccessKey({});
  await checkRefusal(inSession, "AccessDenied", 403);
}

main();
