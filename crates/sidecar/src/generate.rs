//! A generation request, from its head to a response that is on its way.

use std::sync::Arc;

use coordinator::{Asked, Decoded, Failure, Prefiller, Wishes};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;
use openai::{Api, ApiError, Body as Json, ErrorKind};
use pd::Peer;
use proxy::body::collect;
use proxy::{Body, ConnInfo, headers as http_headers};
use telemetry::clock::{self, Moment};
use telemetry::coordinator::{Begin, Denial, Request as Record};
use telemetry::{Blame, Stage};

use crate::allow::Refusal;
use crate::headers::{self, REQUEST_ID};
use crate::rank::Rank;
use crate::target::{self, Candidate};

/// Handles a request to `api`.
pub(crate) async fn handle(rank: Arc<Rank>, api: Api, request: Request<Incoming>, received: Moment) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let id = headers::settle_request_id(&mut parts.headers);
    let connection = parts.extensions.get::<ConnInfo>().map(|connection| connection.egress.peer());
    let mut record = rank.shared.coordinator.begin(Begin {
        received,
        api: api.name(),
        path: parts.uri.path(),
        connector: rank.shared.connector,
        request_id: id.to_str().unwrap_or_default(),
        model: None,
        streaming: false,
        headers: &parts.headers,
    });
    if let Some(peer) = connection {
        record.came_by(peer);
    }
    let wants_trailers = http_headers::accepts_trailers(&parts.headers);
    let mut job = Job { rank, record, wants_trailers };
    let mut response = match job.run(api, parts, body).await {
        Ok(decoded) => decoded.answer(job.record, job.wants_trailers).await,
        Err(failure) => {
            job.record.finish(clock::now(), failure.outcome());
            failure.into_response()
        }
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A request in progress.
struct Job {
    rank: Arc<Rank>,
    record: Record,
    wants_trailers: bool,
}

impl Job {
    async fn run(&mut self, api: Api, parts: Parts, body: Incoming) -> Result<Decoded, Failure> {
        let candidates = target::candidates(&parts.headers);
        let decoder = self.rank.decoder_for(&parts.headers)?;
        self.record.decode_target(decoder.target.authority());
        let asked = self.read(api, parts, body).await?;
        let mut candidates = candidates.map_err(|error| {
            self.record.denied("malformed", Denial::Malformed);
            Failure::client(ErrorKind::InvalidRequest, error.to_string())
        })?;
        if candidates.is_empty() {
            self.record.decode_only("no_prefill_header");
            return self.rank.shared.runner.decode_alone(&asked, &decoder, &mut self.record).await;
        }
        if self.rank.shared.config.sampling {
            target::shuffle(&mut candidates);
        }
        self.record.candidates(candidates.len());
        let prefillers = self.judge(&candidates).await?;
        self.rank.shared.runner.run(&asked, &decoder, &prefillers, &mut self.record).await
    }

    /// Reads and checks the body.
    async fn read(&mut self, api: Api, mut parts: Parts, body: Incoming) -> Result<Arc<Asked>, Failure> {
        let body = collect(body, self.rank.shared.config.max_body).await.map_err(Failure::unread)?;
        let json = Json::parse(body).map_err(unparsed)?;
        let head = json.head(api).map_err(unparsed)?;
        self.record.model(head.model.as_deref().unwrap_or_default());
        self.record.streaming(head.stream);
        http_headers::strip_hop_by_hop(&mut parts.headers);
        headers::strip_routing(&mut parts.headers);
        let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static(api.path()));
        let wishes = Wishes::of(&head);
        Ok(Arc::new(Asked::new(api, path, parts.headers, json, wishes)))
    }

    /// The candidates that the allow-list lets through, each with its target.
    async fn judge(&mut self, candidates: &[Candidate]) -> Result<Vec<Prefiller>, Failure> {
        let mut prefillers = Vec::with_capacity(candidates.len());
        let mut nameless = false;
        for candidate in candidates {
            match self.rank.shared.targets.judged(candidate).await {
                Ok(target) => prefillers.push(Prefiller { peer: Peer::new(candidate.host()), target }),
                Err(Refusal::Unresolved) => {
                    nameless = true;
                    self.record.prefill_attempt_failed(clock::now(), "resolve");
                }
                Err(Refusal::LinkLocal) => self.record.denied(candidate.authority(), Denial::LinkLocal),
                Err(Refusal::NotAllowed) => self.record.denied(candidate.authority(), Denial::NotAllowed),
            }
        }
        match (prefillers.is_empty(), nameless) {
            (false, _) => Ok(prefillers),
            (true, true) => Err(unresolved()),
            (true, false) => Err(forbidden()),
        }
    }
}

fn unparsed(error: openai::BodyError) -> Failure {
    Failure::Made { stage: Stage::Receive, blame: Blame::Client, error: error.into() }
}

fn forbidden() -> Failure {
    let error = ApiError::new(ErrorKind::Forbidden, "the prefill target is not allowed");
    Failure::Made { stage: Stage::Receive, blame: Blame::Client, error: error.with_code("prefill_target_denied") }
}

fn unresolved() -> Failure {
    let error = ApiError::new(ErrorKind::BadGateway, "the prefill host's name does not resolve");
    Failure::Made { stage: Stage::Prefill, blame: Blame::Network, error }
}
