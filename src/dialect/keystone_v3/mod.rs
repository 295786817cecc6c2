//! OpenStack Identity v3: credentials, and the signatures made with them.
//!
//! | | method and path under `/v3` | answer |
//! |---|---|---|
//! | C1 | `GET /credentials` | 200, a page of credentials |
//! | C2 | `POST /credentials` | 201, the credential |
//! | C3 | `GET /credentials/{id}` | 200, the credential |
//! | C4 | `PATCH /credentials/{id}` | 200, the changed credential |
//! | C5 | `DELETE /credentials/{id}` | 204 |
//! | T1 | `POST /ec2tokens` | 200, a token for who signed |
//! | T2 | `POST /s3tokens` | 200, who signed |
//!
//! E1 to E4 are [`os_ec2`](mod@super::os_ec2)'s. Trailing slashes change nothing. T2 is
//! ours if there is a directory, T1 if there is an issuer of tokens besides.

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use http_body_util::Full;

use super::{Moment, Routed, Served, keystone::Frame, path};
use crate::{
    authority::{Command, CredentialCommand, Outcome, SignatureCommand},
    domain::CredentialId,
    error::Error,
};

mod parse;
mod render;
mod tokens;

/// Where the dialect lives when the app does not say otherwise.
pub(super) const PREFIX: &str = "/v3";

const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
const TOKENS: &str = "POST";
const MEMBER: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";

/// One matched request.
#[derive(Debug)]
pub(crate) struct Exchange {
    frame: Frame,
    operation: Operation,
}

#[derive(Debug)]
enum Operation {
    Create,
    Delete(CredentialId),
    List,
    /// On a path of ours that cannot be answered, whoever asks.
    Refused,
    Show(CredentialId),
    Update(CredentialId),
    VerifyEc2,
    VerifyS3,
}

/// Routes what follows a prefix; it starts with a slash.
pub(super) fn route(prefix: &str, method: &Method, rest: &str, served: Served) -> Routed<Exchange> {
    let mut segments = rest.trim_end_matches('/').split('/').skip(1);
    let segments = (segments.next(), segments.next(), segments.next());
    let id = match segments {
        (Some("ec2tokens"), None, _) if served.ec2tokens => {
            return tokens(prefix, method, Operation::VerifyEc2);
        }
        (Some("s3tokens"), None, _) if served.s3tokens => {
            return tokens(prefix, method, Operation::VerifyS3);
        }
        (Some("credentials"), id, None) if id != Some("") => id,
        _ => return Routed::NotOurs,
    };
    let allow = if id.is_some() { MEMBER } else { COLLECTION };
    let (frame, method) = Frame::new(prefix, method, allow);
    let mut exchange = Exchange { frame, operation: Operation::Refused };
    if *method == Method::OPTIONS {
        return Routed::Options(exchange);
    }
    let id = match id.map(path::decode_segment).transpose() {
        Ok(id) => id.map(CredentialId::from_stored),
        Err(error) => return Routed::Refused(exchange, error),
    };
    exchange.operation = match (method, id) {
        (&Method::GET, None) => Operation::List,
        (&Method::POST, None) => Operation::Create,
        (&Method::DELETE, Some(id)) => Operation::Delete(id),
        (&Method::GET, Some(id)) => Operation::Show(id),
        (&Method::PATCH, Some(id)) => Operation::Update(id),
        _ => return Routed::Refused(exchange, Error::method_not_allowed()),
    };
    Routed::Matched(exchange)
}

fn tokens(prefix: &str, method: &Method, operation: Operation) -> Routed<Exchange> {
    let frame = Frame::new(prefix, method, TOKENS).0;
    match *method {
        Method::POST => Routed::Matched(Exchange { frame, operation }),
        Method::OPTIONS => Routed::Options(Exchange { frame, operation: Operation::Refused }),
        _ => {
            let exchange = Exchange { frame, operation: Operation::Refused };
            Routed::Refused(exchange, Error::method_not_allowed())
        }
    }
}

impl Exchange {
    /// Whether the operation takes a body.
    pub(super) fn takes_body(&self) -> bool {
        match self.operation {
            Operation::Create
            | Operation::Update(_)
            | Operation::VerifyEc2
            | Operation::VerifyS3 => true,
            Operation::Delete(_) | Operation::List | Operation::Refused | Operation::Show(_) => {
                false
            }
        }
    }

    /// The request in domain words; the body is empty for operations that take none.
    pub(super) fn parse(&self, head: &Parts, body: &[u8]) -> Result<Command, Error> {
        let command = match &self.operation {
            Operation::Create => CredentialCommand::Create(parse::create(head, body)?),
            Operation::Delete(id) => CredentialCommand::Delete(id.clone()),
            Operation::List => CredentialCommand::List(parse::list(head)?),
            Operation::Refused => unreachable!("refused before it is parsed"),
            Operation::Show(id) => CredentialCommand::Show(id.clone()),
            Operation::Update(id) => CredentialCommand::Update(parse::update(id, head, body)?),
            Operation::VerifyEc2 => {
                let signed = tokens::ec2(head, body);
                return Ok(Command::Signature(SignatureCommand::Ec2(signed)));
            }
            Operation::VerifyS3 => {
                let signed = tokens::s3(head, body);
                return Ok(Command::Signature(SignatureCommand::S3(signed)));
            }
        };
        Ok(Command::Credential(command))
    }

    pub(super) fn options(&self) -> Response<Full<Bytes>> {
        self.frame.options()
    }

    pub(super) fn render(
        &self,
        result: Result<&Outcome, &Error>,
        moment: &Moment<'_>,
    ) -> Response<Full<Bytes>> {
        match result {
            Ok(outcome) => render::outcome(outcome, &self.frame, moment),
            Err(error) => self.frame.error(error, self.action(), moment),
        }
    }

    /// Keystone's name of the operation.
    fn action(&self) -> &'static str {
        match self.operation {
            Operation::Create => "identity:create_credential",
            Operation::Delete(_) => "identity:delete_credential",
            Operation::List => "identity:list_credentials",
            Operation::Refused => "",
            Operation::Show(_) => "identity:get_credential",
            Operation::Update(_) => "identity:update_credential",
            Operation::VerifyEc2 => "identity:ec2tokens_validate",
            Operation::VerifyS3 => "identity:s3tokens_validate",
        }
    }
}
