//! A generation request, from its head to a response that is on its way.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;
use openai::{Api, ApiError, Body as Json, ErrorKind};
use pd::{CachedTokens, Handover, Plan, Room, Serial, hosts};
use proxy::body::collect;
use proxy::client::UpstreamBody;
use proxy::{Body, headers as http_headers};
use telemetry::clock::{self, Moment};
use telemetry::coordinator::{Begin, Denial, Request as Record};
use telemetry::{Blame, Stage};

use crate::allow::Refusal;
use crate::answer::{hide, is_event_stream, probed, timing, whole};
use crate::asked::{Asked, Wishes};
use crate::concurrent::{Legs, Met, Prefilling};
use crate::config::OnPrefillFailure;
use crate::failure::Failure;
use crate::headers::{self, REQUEST_ID};
use crate::prefill::{self, Leg, Prefiller};
use crate::rank::Rank;
use crate::relay::{Changes, Relay, Start};
use crate::release::{Decoder, Release};
use crate::target::{self, Candidate};

/// Handles a request to `api`.
pub(crate) async fn handle(rank: Arc<Rank>, api: Api, request: Request<Incoming>, received: Moment) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let id = headers::settle_request_id(&mut parts.headers);
    let record = rank.shared.coordinator.begin(Begin {
        received,
        api: api.name(),
        path: parts.uri.path(),
        connector: rank.shared.connector,
        request_id: id.to_str().unwrap_or_default(),
        model: None,
        streaming: false,
        headers: &parts.headers,
    });
    let wants_trailers = http_headers::accepts_trailers(&parts.headers);
    let mut job = Job { rank, record, wants_trailers };
    let mut response = match job.run(api, parts, body).await {
        Ok(decoded) => job.answer(decoded).await,
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

/// The decoder's response, as far as it has been read.
struct Decoded {
    asked: Arc<Asked>,
    response: Response<UpstreamBody>,
    held: Vec<Bytes>,
    cached: Option<CachedTokens>,
    prefilling: Option<Prefilling>,
    /// vLLM was asked for counts that the client did not ask for.
    counted: bool,
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
            return self.decode_alone(&asked, &decoder).await;
        }
        if self.rank.shared.config.sampling {
            target::shuffle(&mut candidates);
        }
        self.record.candidates(candidates.len());
        let prefillers = self.judge(&candidates).await?;
        let outcome = match self.rank.shared.config.protocol.order() {
            pd::Order::Serial => Box::pin(self.serial(&asked, &decoder, &prefillers)).await,
            pd::Order::Concurrent => Box::pin(self.concurrent(&asked, &decoder, &prefillers)).await,
        };
        match outcome {
            Err(failure) if self.may_decode_alone(&failure) => {
                self.record.decode_only("prefill_failed");
                self.decode_alone(&asked, &decoder).await
            }
            outcome => outcome,
        }
    }

    fn may_decode_alone(&self, failure: &Failure) -> bool {
        failure.stage() == Stage::Prefill && self.rank.shared.config.on_prefill_failure == OnPrefillFailure::DecodeOnly
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
                Ok(target) => prefillers.push(Prefiller { host: candidate.host().into(), target }),
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

    /// The decoder does everything.
    async fn decode_alone(&mut self, asked: &Arc<Asked>, decoder: &Decoder) -> Result<Decoded, Failure> {
        let body = hosts::strip(&asked.body);
        self.decode(asked, decoder, body, |_| ()).await
    }

    async fn decode(
        &mut self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        body: Bytes,
        mut on_sent: impl FnMut(Moment),
    ) -> Result<Decoded, Failure> {
        let (body, counted) = self.with_counts(asked, body);
        let record = &mut self.record;
        let sent = decoder.client.send_with(&decoder.target, asked.leg(body), |headers, sent| {
            on_sent(sent);
            record.decode_sent(sent).inject(headers);
        });
        let response = sent.await.map_err(|error| Failure::decoder(&error))?;
        self.record.decode_accepted(clock::now(), response.status().as_u16());
        Ok(Decoded { asked: Arc::clone(asked), response, held: Vec::new(), cached: None, prefilling: None, counted })
    }

    /// Asks vLLM to count tokens in every chunk, where that is wished and the client's stream does not have it anyway.
    fn with_counts(&self, asked: &Asked, body: Bytes) -> (Bytes, bool) {
        let wished =
            self.rank.shared.config.exact_token_accounting && asked.wishes.streaming && !asked.wishes.continuous_usage;
        let usual = matches!(asked.api, Api::ChatCompletions | Api::Completions);
        if !(wished && usual) {
            return (body, false);
        }
        let Ok(json) = Json::parse(body.clone()) else { return (body, false) };
        let edit = json.edit().set_in("stream_options", "continuous_usage_stats", b"true".as_slice());
        (edit.set_in("stream_options", "include_usage", b"true".as_slice()).build(), true)
    }

    async fn serial(
        &mut self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
    ) -> Result<Decoded, Failure> {
        let protocol = self.rank.shared.config.protocol;
        let Plan::Serial(plan) = protocol.plan(asked.api, &asked.body, "", Room::random()) else {
            return Err(unresolved());
        };
        if let Some(body) = plan.decode_first()
            && let Some(decoded) = self.decode_first(asked, decoder, body).await?
        {
            return Ok(decoded);
        }
        let handover = self.prefill(asked, &plan, prefillers).await?;
        let cached = CachedTokens::of(&handover);
        let body = plan.decode(&handover);
        let mut release = Release::new(decoder.clone(), protocol, Arc::clone(asked), handover);
        let decoded = self.decode(asked, decoder, body, |sent| release.sent(sent)).await;
        release.disarm();
        decoded.map(|decoded| Decoded { cached: plan.reads_prefill().then_some(cached), ..decoded })
    }

    async fn prefill(
        &mut self,
        asked: &Asked,
        plan: &Serial<'_>,
        prefillers: &[Prefiller],
    ) -> Result<Handover, Failure> {
        let rank = Arc::clone(&self.rank);
        let leg =
            Leg { client: &rank.shared.client, asked, patience: rank.shared.patience(), reads: plan.reads_prefill() };
        let answer = prefill::serial(&leg, prefillers, &plan.prefill(), &mut self.record).await?;
        let handover = plan.handover(answer).map_err(|error| Failure::Made {
            stage: Stage::Prefill,
            blame: Blame::Upstream,
            error: ApiError::new(ErrorKind::BadGateway, error.to_string()),
        })?;
        if plan.reads_prefill() && !handover.names_blocks() {
            tracing::warn!("a prefill answered without kv_transfer_params; the decoder computes the prompt again");
        }
        Ok(handover)
    }

    /// Tries the decoder before any prefill. `None` when it wants one.
    async fn decode_first(
        &mut self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        body: Bytes,
    ) -> Result<Option<Decoded>, Failure> {
        let context = self.record.context().clone();
        let mut sent_at = None;
        let sent = decoder.client.send_with(&decoder.target, asked.leg(body), |headers, sent| {
            sent_at = Some(sent);
            context.inject(headers);
        });
        let mut response = sent.await.map_err(|error| Failure::decoder(&error))?;
        let accepted = clock::now();
        let Some(held) = probed(&mut response).await? else { return Ok(None) };
        self.record.decode_only("cache_hit");
        self.record.decode_sent(sent_at.unwrap_or(accepted));
        self.record.decode_accepted(accepted, response.status().as_u16());
        let asked = Arc::clone(asked);
        Ok(Some(Decoded { asked, response, held, cached: None, prefilling: None, counted: false }))
    }

    async fn concurrent(
        &mut self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
    ) -> Result<Decoded, Failure> {
        let rank = Arc::clone(&self.rank);
        let legs = Legs { protocol: rank.shared.config.protocol, asked, decoder, patience: rank.shared.patience() };
        let Met { response, held, prefilling } = legs.run(prefillers, &mut self.record).await?;
        self.record.decode_accepted(clock::now(), response.status().as_u16());
        Ok(Decoded { asked: Arc::clone(asked), response, held, cached: None, prefilling, counted: false })
    }

    /// Puts the decoder's response on its way.
    async fn answer(self, decoded: Decoded) -> Response<Body> {
        let Self { rank: _, mut record, wants_trailers } = self;
        let Decoded { asked, response, mut held, cached, prefilling, counted } = decoded;
        let (mut head, body) = response.into_parts();
        http_headers::strip_hop_by_hop(&mut head.headers);
        let success = head.status.is_success();
        let events = success && is_event_stream(&head.headers);
        let mut upstream = Some(body);
        if !events {
            let cached = cached.filter(|_| success);
            match whole(upstream.take(), &mut held, &mut head.headers, cached).await {
                Ok(rest) => upstream = rest,
                Err(failure) => {
                    record.finish(clock::now(), failure.outcome());
                    return failure.into_response();
                }
            }
        } else {
            // Events may be changed or added on the way, so the length is not the decoder's to say.
            head.headers.remove(CONTENT_LENGTH);
        }
        let trailers = wants_trailers && events;
        timing(&mut head.headers, &record, trailers);
        let relay = Relay::new(Start {
            upstream,
            held,
            status: head.status,
            events,
            changes: Changes { cached, hide: hide(counted, asked.wishes) },
            closes: matches!(asked.api, Api::ChatCompletions | Api::Completions),
            prefilling,
            record,
            wants_trailers: trailers,
        });
        Response::from_parts(head, Body::wrap(relay))
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
