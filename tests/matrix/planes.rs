//! The data planes, over one store of keys and one changeable directory.

use std::{convert::Infallible, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{GetObjectInput, GetObjectOutput},
    service::S3ServiceBuilder,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_credentials::{
    async_trait,
    auth::StaticTokens,
    backend::{Uncached, memory::MemoryBackend},
    clock::Clock,
    domain::{Caller, ProjectId, Scope, UserId},
    s3::{S3AuthLayer, S3sAuth, S3sGuardLayer, S3sGuardService, VerifiedKey},
};

use crate::{
    aws_signer::Signer,
    callers::{self, SERVICE, TOKEN},
    facts::{BOB, DelegationRights, Facts, HOME},
    oracle::Plane,
    running::Minted,
    signer::{ec2_v4, s3_v4},
    world::{
        World,
        registry::Registry,
        v3::{EC2TOKENS, S3TOKENS},
    },
};

/// A stopped clock.
#[derive(Clone, Copy, Debug)]
struct Still(SystemTime);

impl Clock for Still {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// Every data plane.
#[derive(Debug)]
pub(crate) struct Planes {
    registry: Arc<Registry>,
    /// When requests are signed: `s3s` compares this with the system's clock.
    now: SystemTime,
    layer: S3AuthLayer,
    layer_alone: S3AuthLayer,
    layer_delegated: S3AuthLayer,
    s3s: S3sGuardService<s3s::service::S3Service>,
    s3s_alone: S3sGuardService<s3s::service::S3Service>,
    s3s_delegated: S3sGuardService<s3s::service::S3Service>,
    tokens: World,
}

/// The result of using a key on a data plane.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) admitted: bool,
    pub(crate) status: StatusCode,
    /// User and project of the key, as the plane passes them to the store.
    pub(crate) signer: Option<(String, Option<String>)>,
    /// Status line, headers and body.
    pub(crate) text: String,
}

/// The requests that are signed with one key.
#[derive(Debug)]
pub(crate) struct Signed {
    s3: Request<Empty<Bytes>>,
    s3tokens: serde_json::Value,
    ec2tokens: serde_json::Value,
}

impl Planes {
    pub(crate) fn new(store: &MemoryBackend, now: SystemTime) -> Self {
        let registry = Arc::new(Registry::over(Facts::new().directory()));
        let clock = Still(now);
        let layer = || S3AuthLayer::builder(Uncached(store.clone())).clock(clock);
        let auth = || S3sAuth::new(Uncached(store.clone())).clock(clock);
        let guarded = |auth: S3sAuth| {
            let mut builder = S3ServiceBuilder::new(Objects);
            builder.set_auth(auth);
            let guard = S3sGuardLayer::builder().clock(clock).build().unwrap();
            guard.layer(builder.build())
        };
        let scope = Scope::Project(ProjectId::new(HOME).unwrap());
        let service = Caller::new(UserId::new(BOB).unwrap(), scope).with_roles([SERVICE]);
        let validator = StaticTokens::new().with_token(TOKEN, BOB, service);
        let tokens = World::build(validator, Arc::new(store.clone()), |builder| {
            builder
                .directory(Arc::clone(&registry))
                .issuer(crate::world::test_issuer::TestIssuer::default())
                .clock(clock)
        });
        Self {
            layer: layer().directory(Arc::clone(&registry)).build().unwrap(),
            layer_alone: layer().build().unwrap(),
            layer_delegated: layer()
                .directory(Arc::clone(&registry))
                .accept_delegated(true)
                .build()
                .unwrap(),
            s3s: guarded(auth().directory(Arc::clone(&registry))),
            s3s_alone: guarded(auth()),
            s3s_delegated: guarded(auth().directory(Arc::clone(&registry)).accept_delegated(true)),
            registry,
            now,
            tokens,
        }
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

    /// Signs requests with a key, or with this secret instead of the key's own.
    pub(crate) fn sign(&self, minted: &Minted, secret: Option<&str>) -> Signed {
        let access = minted.record.access_key.as_ref().unwrap().as_str();
        let secret = secret.unwrap_or_else(|| minted.record.secret_key().unwrap().expose());
        let unsigned = Request::get("/bucket/key").header("host", "s3.example.org");
        let unsigned = unsigned.body(Empty::new()).unwrap();
        let (s3, _) = Signer::new(access, secret, self.now).sign(unsigned);
        let time = s3.headers()["x-amz-date"].to_str().unwrap().to_owned();
        let scope = format!("{}/us-east-1/s3/aws4_request", &time[..8]);
        Signed {
            s3,
            s3tokens: s3_v4(access, secret, &time, &scope),
            ec2tokens: ec2_v4(access, secret, &time, &scope),
        }
    }

    /// Sends the request to a plane.
    pub(crate) async fn send(&self, plane: Plane, signed: &Signed) -> Use {
        match plane {
            Plane::Layer => send_through(&self.layer, signed.s3.clone()).await,
            Plane::LayerAlone => send_through(&self.layer_alone, signed.s3.clone()).await,
            Plane::LayerDelegated => send_through(&self.layer_delegated, signed.s3.clone()).await,
            Plane::S3sDelegated => send_to(self.s3s_delegated.clone(), signed.s3.clone()).await,
            Plane::S3s => send_to(self.s3s.clone(), signed.s3.clone()).await,
            Plane::S3sAlone => send_to(self.s3s_alone.clone(), signed.s3.clone()).await,
            Plane::S3Tokens => self.send_for_token(S3TOKENS, &signed.s3tokens).await,
            Plane::Ec2Tokens => self.send_for_token(EC2TOKENS, &signed.ec2tokens).await,
        }
    }

    async fn send_for_token(&self, path: &str, body: &serde_json::Value) -> Use {
        let answer = self.tokens.post(path).token(TOKEN).json(body).send().await;
        let id = |name: &str| {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            body["token"][name]["id"].as_str().map(str::to_owned)
        };
        let admitted = answer.status == StatusCode::OK;
        let signer = id("user").filter(|_| admitted).map(|user| (user, id("project")));
        let text = crate::secrets::text(&answer);
        Use { admitted, status: answer.status, signer, text }
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
    Use { admitted: head.status == StatusCode::OK, status: head.status, signer, text }
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
