//! [`Wires`]: responds to requests of the AWS wires.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;

use crate::{
    audit::{AuditAction, AuditReason, RequestFacts},
    authority::{Authority, Signer},
    aws::{AwsWires, Roles},
    config::{self, ConfigError},
    dialect::{
        aws_iam, aws_sts,
        query_api::{self, Answer, Place, QueryError, Route},
    },
    error::ErrorKind,
    guessers::Guess,
    log,
    meter::Endpoint,
    origin::RequestId,
    read,
    signature::request::{RequestHead, Service, query_api as signed},
};

/// The AWS wires of a layer.
#[derive(Debug)]
pub(crate) struct Wires {
    place: Place,
    account_id: String,
    roles: Roles,
}

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

impl Wires {
    pub(crate) fn new(settings: AwsWires) -> Result<Self, ConfigError> {
        let AwsWires { account_id, path, host, roles, any_role_is_self } = settings;
        let roles = Roles { known: roles, any_is_self: any_role_is_self };
        if account_id.len() != 12 || !account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ConfigError::InvalidAccountId(account_id));
        }
        let place = match (path, host) {
            (None, None) => Place::Root,
            (Some(path), None) => Place::Path(path),
            (None, Some(host)) => Place::Host(config::parsed_host(&host)?),
            (Some(path), Some(_)) => return Err(ConfigError::InvalidPrefix(path)),
        };
        Ok(Self { place, account_id, roles })
    }

    /// Returns the path of the wires, unless it is `/`.
    pub(crate) fn path(&self) -> Option<&str> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Host(_) | Place::Root => None,
        }
    }

    /// Returns the path of the wires.
    pub(crate) fn path_or_root(&self) -> &str {
        self.path().unwrap_or("/")
    }

    /// Returns whether the wires have a host of their own.
    pub(crate) fn has_host(&self) -> bool {
        matches!(self.place, Place::Host(_))
    }

    pub(crate) fn route<B>(&self, request: &Request<B>) -> Option<Route> {
        self.place.route(request)
    }
}

impl Wires {
    /// The response to a request, its operation, and what it guessed at.
    pub(crate) async fn respond<B>(
        &self,
        authority: &Authority,
        limits: BodyLimits,
        route: Route,
        request: Request<B>,
    ) -> (Endpoint, Response<Full<Bytes>>, Option<Guess>)
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let service = match route {
            Route::Signed(service) => service,
            Route::Presigned | Route::Unsigned => Service::Sts,
        };
        let mut endpoint = match service {
            Service::Iam => Endpoint::IamOther,
            Service::S3 | Service::Sts => Endpoint::StsOther,
        };
        let id = head.extensions.get::<RequestId>();
        let answer = self.answer(authority, limits, route, &head, body, &mut endpoint).await;
        let (response, guess) = match answer {
            Ok(answer) => (answer.render(id), None),
            Err(error) => {
                let mut response = query_api::refuse(service, &error, id);
                if let Some(source) = error.source {
                    if matches!(source.kind(), ErrorKind::Internal | ErrorKind::Unavailable) {
                        let (reason, cause) =
                            (log::cause(&source), source.source().and_then(log::cause));
                        tracing::error!(error = reason, cause, "request of a key failed");
                    }
                    response.extensions_mut().insert(Arc::new(source));
                }
                (response, error.guess)
            }
        };
        (endpoint, response, guess)
    }

    /// Sets the action as soon as it is known.
    async fn answer<B>(
        &self,
        authority: &Authority,
        limits: BodyLimits,
        route: Route,
        head: &Parts,
        body: B,
        endpoint: &mut Endpoint,
    ) -> Result<Answer, QueryError>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        if route == Route::Presigned {
            return Err(QueryError::not_signed());
        }
        let body = read::body(body, limits.bytes, limits.time).await?;
        let Route::Signed(service) = route else {
            return Err(unsigned(&query_api::params(&head.uri, &head.headers, &body)?));
        };
        let request = signed::parse(RequestHead::from(head), service, &body)?;
        let request = request.ok_or_else(QueryError::not_signed)?;
        let signer = authority.signer_of(&request, RequestFacts::of(&head.extensions)).await?;
        if head.method != Method::POST {
            return Err(QueryError::not_posted());
        }
        let params = query_api::signed_params(&head.uri, &head.headers, &body)?;
        if service == Service::Iam {
            let parsed = aws_iam::Operation::parse(&params);
            let parsed = parsed.inspect_err(|error| refuse(authority, &signer, &params, error));
            let aws_iam::Operation { command, action } = parsed?;
            *endpoint = Endpoint::of_iam(action);
            let outcome = authority.run_own_keys(&signer, command).await?;
            return Ok(aws_iam::answer(action, &outcome, &self.account_id));
        }
        let parsed = aws_sts::Operation::parse(&params);
        let parsed = parsed.inspect_err(|error| refuse(authority, &signer, &params, error));
        let aws_sts::Operation { command, action, source_identity } = parsed?;
        *endpoint = Endpoint::of_sts(action);
        let outcome = authority.run_session(&signer, &self.roles, command).await?;
        Ok(aws_sts::answer(action, &outcome, &self.account_id, source_identity.as_deref()))
    }
}

/// Records that a signed request with invalid parameters is refused, if its action is a change.
fn refuse(authority: &Authority, signer: &Signer, params: &query_api::Params, error: &QueryError) {
    let actions = [
        ("AssumeRole", AuditAction::Session),
        ("CreateAccessKey", AuditAction::Create),
        ("DeleteAccessKey", AuditAction::Delete),
        ("GetFederationToken", AuditAction::Session),
        ("GetSessionToken", AuditAction::Session),
        ("UpdateAccessKey", AuditAction::Update),
    ];
    let action = actions.into_iter().find(|(name, _)| params.is_action(name));
    if let Some((_, action)) = action {
        let (kind, message) = (error.code.as_str(), error.message.clone());
        authority.record_invalid(&signer.caller, action, AuditReason { kind, message });
    }
}

/// The refusal of a request without a signature.
fn unsigned(params: &query_api::Params) -> QueryError {
    if !params.has_action() {
        return QueryError::no_action_given();
    }
    if params.is_action("AssumeRoleWithWebIdentity") {
        return aws_sts::no_issuer();
    }
    QueryError::not_signed()
}
