//! The data planes, over one store of keys and one changeable directory.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{GetObjectInput, GetObjectOutput},
    service::S3ServiceBuilder,
};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_credentials::{
    CredentialLayer, async_trait,
    auth::StaticTokens,
    aws::AwsWires,
    backend::{Uncached, memory::MemoryBackend},
    clock::Clock,
    domain::{Caller, Credential, ProjectId, Scope, SecretText, UserId, parse_time},
    issuer::{IssueError, IssuedToken, Signer, TokenIssuer},
    policy::RolePolicy,
    s3::{S3AuthLayer, S3sAccess, S3sAuth, S3sGuardLayer, S3sGuardService, VerifiedKey},
    session::SessionCredentials,
};

use crate::{
    aws_signer,
    callers::{self, SERVICE, TOKEN},
    clock::TestClock,
    facts::{BOB, DelegationRights, Facts, HOME},
    limits::{OUTSIDE, WITHIN},
    oracle::Plane,
    signer::{ec2_v4, s3_v4},
    world::{
        World,
        registry::Registry,
        v3::{EC2TOKENS, S3TOKENS},
    },
};

/// Every data plane.
#[derive(Debug)]
pub(crate) struct Planes {
    registry: Arc<Registry>,
    /// When requests are signed: `s3s` compares this with the system's clock.
    now: SystemTime,
    clock: TestClock,
    layer: S3AuthLayer,
    layer_alone: S3AuthLayer,
    layer_delegated: S3AuthLayer,
    s3s: S3sGuardService<s3s::service::S3Service>,
    s3s_alone: S3sGuardService<s3s::service::S3Service>,
    s3s_bounded: S3sGuardService<s3s::service::S3Service>,
    s3s_delegated: S3sGuardService<s3s::service::S3Service>,
    tokens: World,
    tokens_bounded: World,
    tokens_careless: World,
    /// IAM with the directory, where its members may manage their own keys.
    iam: CredentialLayer,
    /// IAM with the directory, where they may not.
    iam_strict: CredentialLayer,
    /// IAM without a directory.
    iam_alone: CredentialLayer,
}

/// Which IAM a request is sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Iam {
    Alone,
    Members,
    Strict,
}

/// The result of using a key on a data plane.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) admitted: bool,
    pub(crate) status: StatusCode,
    /// User and project of the key, as the plane passes them to the store.
    pub(crate) signer: Option<(String, Option<String>)>,
    /// The expiry in a response about a signer.
    pub(crate) ends: Option<SystemTime>,
    /// The boundary in a response about a signer.
    pub(crate) boundary: Option<Value>,
    /// Status line, headers and body.
    pub(crate) text: String,
}

/// The requests that are signed with one key.
#[derive(Debug)]
pub(crate) struct Signed {
    within: Request<Empty<Bytes>>,
    outside: Request<Empty<Bytes>>,
    s3tokens: Value,
    ec2tokens: Value,
}

impl Planes {
    pub(crate) fn new(store: &MemoryBackend, now: SystemTime) -> Self {
        let registry = Arc::new(Registry::over(Facts::new().directory()));
        let clock = TestClock::at(now);
        let layer = || S3AuthLayer::builder(Uncached(store.clone())).clock(clock.clone());
        let auth = || S3sAuth::new(Uncached(store.clone())).clock(clock.clone());
        let guarded = |auth: S3sAuth, access: Option<S3sAccess>| {
            let mut builder = S3ServiceBuilder::new(Objects);
            builder.set_auth(auth);
            if let Some(access) = access {
                builder.set_access(access);
            }
            let guard = S3sGuardLayer::builder().clock(clock.clone()).build().unwrap();
            guard.layer(builder.build())
        };
        let scope = Scope::Project(ProjectId::new(HOME).unwrap());
        let service = Caller::new(UserId::new(BOB).unwrap(), scope).with_roles([SERVICE]);
        let tokens = |accept_bounded, careless| {
            let validator = StaticTokens::new().with_token(TOKEN, BOB, service.clone());
            World::build(validator, Arc::new(store.clone()), |builder| {
                builder
                    .directory(Arc::clone(&registry))
                    .issuer(Issuer { clock: clock.clone(), careless })
                    .accept_bounded(accept_bounded)
                    .clock(clock.clone())
            })
        };
        let iam = || {
            let layer = CredentialLayer::builder(StaticTokens::new(), Arc::new(store.clone()));
            layer.aws(AwsWires::new()).clock(clock.clone())
        };
        let (bounded, access) = auth().directory(Arc::clone(&registry)).with_boundaries();
        Self {
            layer: layer().directory(Arc::clone(&registry)).build().unwrap(),
            layer_alone: layer().build().unwrap(),
            layer_delegated: layer()
                .directory(Arc::clone(&registry))
                .accept_delegated(true)
                .build()
                .unwrap(),
            s3s: guarded(auth().directory(Arc::clone(&registry)), None),
            s3s_alone: guarded(auth(), None),
            s3s_bounded: guarded(bounded, Some(access)),
            s3s_delegated: guarded(
                auth().directory(Arc::clone(&registry)).accept_delegated(true),
                None,
            ),
            tokens: tokens(false, false),
            tokens_bounded: tokens(true, false),
            tokens_careless: tokens(false, true),
            iam: iam()
                .directory(Arc::clone(&registry))
                .policy(RolePolicy::keystone())
                .build()
                .unwrap(),
            iam_strict: iam().directory(Arc::clone(&registry)).build().unwrap(),
            iam_alone: iam().build().unwrap(),
            registry,
            now,
            clock,
        }
    }

    pub(crate) fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Changes the directory to these facts.
    pub(crate) fn set(&self, facts: &Facts) {
        let all = Facts::new();
        for user in all.users.keys() {
            self.registry.set_user(user, facts.users.get(user).copied());
        }
        for project in all.projects.keys() {
            self.registry.set_project(project, facts.projects.get(project).copied());
        }
        for (user, project) in &all.places {
            match (facts.has_place(user, project), facts.has_role(user, project)) {
                (false, _) => self.registry.remove_member(user, project),
                (true, true) => self.registry.set_roles(user, project, &["member"]),
                (true, false) => self.registry.set_roles(user, project, &[]),
            }
        }
        for delegation in callers::delegations() {
            match facts.delegations {
                Some(DelegationRights { user, project, with_role }) => {
                    let roles: &[&str] = if with_role { &["member"] } else { &[] };
                    self.registry.delegate(delegation, user, project, roles);
                }
                None => self.registry.revoke(&delegation),
            }
        }
    }

    /// Moves the clock of every plane to so many microseconds after the time of the signatures.
    pub(crate) fn set_clock(&self, after: i64) {
        let distance = Duration::from_micros(after.unsigned_abs());
        self.clock.set(if after < 0 { self.now - distance } else { self.now + distance });
    }

    /// Signs requests with a key, or with this secret instead of the key's own.
    pub(crate) fn sign(&self, key: &Credential, secret: Option<&str>) -> Signed {
        let access = key.access_key.as_ref().unwrap().as_str();
        let secret = secret.unwrap_or_else(|| key.secret_key().unwrap().expose());
        self.sign_with(access, secret, None)
    }

    /// Signs requests with the credentials of a session.
    pub(crate) fn sign_of_session(&self, session: &SessionCredentials) -> Signed {
        let (access, secret) = (session.access_key.as_str(), session.secret_key.expose());
        self.sign_with(access, secret, Some(session.session_token.expose()))
    }

    /// Signs parameters for IAM.
    pub(crate) fn sign_for_iam(
        &self,
        (access, secret, token): (&str, &str, Option<&str>),
        params: &str,
    ) -> Request<Full<Bytes>> {
        let unsigned = Request::post("/")
            .header("host", "s3.example.org")
            .header("content-type", "application/x-www-form-urlencoded");
        let unsigned = with_token(unsigned, token).body(Full::from(params.to_owned())).unwrap();
        let signer = aws_signer::Signer::new(access, secret, self.now).service("iam");
        signer.body(params).sign(unsigned).0
    }

    fn sign_with(&self, access: &str, secret: &str, token: Option<&str>) -> Signed {
        let sign = |path| {
            let unsigned = Request::get(path).header("host", "s3.example.org");
            let unsigned = with_token(unsigned, token).body(Empty::new()).unwrap();
            aws_signer::Signer::new(access, secret, self.now).sign(unsigned).0
        };
        let (within, outside) = (sign(WITHIN), sign(OUTSIDE));
        let time = within.headers()["x-amz-date"].to_str().unwrap().to_owned();
        let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
        Signed {
            within,
            outside,
            s3tokens: s3_v4(access, secret, &time, &scope),
            ec2tokens: ec2_v4(access, secret, &time, &scope),
        }
    }

    /// Sends the request to a plane.
    pub(crate) async fn send(&self, plane: Plane, signed: &Signed) -> Use {
        match plane {
            Plane::S3Tokens => get_signer(&self.tokens, S3TOKENS, &signed.s3tokens).await,
            Plane::S3TokensBounded => {
                get_signer(&self.tokens_bounded, S3TOKENS, &signed.s3tokens).await
            }
            Plane::Ec2Tokens => get_signer(&self.tokens, EC2TOKENS, &signed.ec2tokens).await,
            Plane::Ec2TokensBounded => {
                get_signer(&self.tokens_bounded, EC2TOKENS, &signed.ec2tokens).await
            }
            Plane::Ec2TokensCareless => {
                get_signer(&self.tokens_careless, EC2TOKENS, &signed.ec2tokens).await
            }
            _ => self.send_s3(plane, signed.within.clone()).await,
        }
    }

    /// Sends a request to IAM. Returns its status and the response.
    pub(crate) async fn send_to_iam(
        &self,
        iam: Iam,
        request: Request<Full<Bytes>>,
    ) -> (StatusCode, String) {
        let layer = match iam {
            Iam::Alone => &self.iam_alone,
            Iam::Members => &self.iam,
            Iam::Strict => &self.iam_strict,
        };
        let app = service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let (head, body) = layer.layer(app).oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Sends the request outside the boundary to a plane that passes requests.
    pub(crate) async fn send_outside(&self, plane: Plane, signed: &Signed) -> Use {
        self.send_s3(plane, signed.outside.clone()).await
    }

    async fn send_s3(&self, plane: Plane, request: Request<Empty<Bytes>>) -> Use {
        match plane {
            Plane::Layer => send_through(&self.layer, request).await,
            Plane::LayerAlone => send_through(&self.layer_alone, request).await,
            Plane::LayerDelegated => send_through(&self.layer_delegated, request).await,
            Plane::S3s => send_to(self.s3s.clone(), request).await,
            Plane::S3sAlone => send_to(self.s3s_alone.clone(), request).await,
            Plane::S3sBounded => send_to(self.s3s_bounded.clone(), request).await,
            Plane::S3sDelegated => send_to(self.s3s_delegated.clone(), request).await,
            _ => unreachable!("{plane:?}"),
        }
    }
}

fn with_token(request: http::request::Builder, token: Option<&str>) -> http::request::Builder {
    match token {
        Some(token) => request.header("x-amz-security-token", token),
        None => request,
    }
}

async fn get_signer(world: &World, path: &str, body: &Value) -> Use {
    let answer = world.post(path).token(TOKEN).json(body).send().await;
    let admitted = answer.status == StatusCode::OK;
    let token = serde_json::from_slice(&answer.body).map(|mut body: Value| body["token"].take());
    let token = token.unwrap_or_default();
    let id = |name: &str| token[name]["id"].as_str().map(str::to_owned);
    let signer = id("user").filter(|_| admitted).map(|user| (user, id("project")));
    let ends = token["expires_at"].as_str().and_then(parse_time);
    let boundary = token.get("boundary").cloned();
    let text = crate::secrets::text(&answer);
    Use { admitted, status: answer.status, signer, ends, boundary, text }
}

/// Issues tokens for an hour, or until the key expires.
#[derive(Debug)]
struct Issuer {
    clock: TestClock,
    /// Whether it ignores the expiry of the key.
    careless: bool,
}

#[async_trait]
impl TokenIssuer for Issuer {
    async fn issue(&self, signer: &Signer) -> Result<IssuedToken, IssueError> {
        let now = self.clock.now();
        let end = now + Duration::from_hours(1);
        let limit = signer.expires_at.filter(|_| !self.careless);
        let end = limit.map_or(end, |limit| limit.min(end));
        Ok(IssuedToken::new(SecretText::new("issued-token"), now, end))
    }
}

/// Sends a request through the layer to a service that returns the signer.
async fn send_through(layer: &S3AuthLayer, request: Request<Empty<Bytes>>) -> Use {
    let service = service_fn(async |request: Request<_>| {
        let key: &VerifiedKey = request.extensions().get().unwrap();
        let project = key.project_id().map(|id| id.as_str().to_owned());
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(Reached(key.user_id().as_str().into(), project));
        Ok::<_, Infallible>(response)
    });
    send_to(layer.layer(service), request).await
}

/// The signer of a request that reached the service.
#[derive(Clone, Debug)]
struct Reached(String, Option<String>);

async fn send_to<S, R>(service: S, request: Request<Empty<Bytes>>) -> Use
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let (head, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let signer =
        head.extensions.get().map(|Reached(user, project)| (user.clone(), project.clone()));
    let text = format!("{:?} {}", head.headers, String::from_utf8_lossy(&body));
    let admitted = head.status == StatusCode::OK;
    Use { admitted, status: head.status, signer, ends: None, boundary: None, text }
}

/// A store that has every object.
#[derive(Clone, Copy, Debug)]
struct Objects;

#[async_trait]
impl S3 for Objects {
    async fn get_object(
        &self,
        _: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        Ok(S3Response::new(GetObjectOutput::default()))
    }
}
