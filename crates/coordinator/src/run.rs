//! Which legs of a request run when.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use openai::{Api, ApiError, Body as Json, ErrorKind};
use pd::{CachedTokens, Handover, Order, Plan, Protocol, Serial, hosts};
use proxy::client::UpstreamBody;
use proxy::{Body, Client, headers as http_headers};
use telemetry::clock::{self, Moment};
use telemetry::coordinator::{Connector, Request as Record};
use telemetry::{Blame, Stage};

use crate::answer::{hide, is_event_stream, probed, timing, whole};
use crate::asked::Asked;
use crate::bootstrap::Bootstraps;
use crate::concurrent::{Legs, Met, Prefilling};
use crate::failure::Failure;
use crate::late::Late;
use crate::prefill::{self, Leg, Patience, Prefiller};
use crate::relay::{Changes, Relay, Start};
use crate::release::{Decoder, Release};

/// How requests are coordinated.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The P/D protocol.
    pub protocol: Protocol,
    /// How long and how often a prefill is tried.
    pub patience: Patience,
    /// What becomes of a request whose prefill has failed.
    pub on_prefill_failure: OnPrefillFailure,
    /// Ask vLLM for a token count in every chunk, and remove it again for the client.
    pub exact_token_accounting: bool,
}

/// What becomes of a request whose prefill has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPrefillFailure {
    /// The client gets the failure.
    #[default]
    Error,
    /// The decoder runs the original request.
    DecodeOnly,
}

/// The name by which telemetry knows a protocol.
#[must_use]
pub fn connector(protocol: Protocol) -> Connector {
    match protocol {
        Protocol::NixlV2 => Connector::NixlV2,
        Protocol::SharedStorage => Connector::Lmcache,
        Protocol::SgLang { .. } => Connector::Sglang,
        Protocol::Mooncake { .. } => Connector::Mooncake,
        Protocol::Kvt { .. } => Connector::Kvt,
    }
}

/// Runs the legs of requests. One for all requests of a component.
#[derive(Debug)]
pub struct Runner {
    settings: Settings,
    client: Client,
    bootstraps: Bootstraps,
}

/// The decoder's response, as far as it has been read.
pub struct Decoded {
    asked: Arc<Asked>,
    response: Response<UpstreamBody>,
    held: Vec<Bytes>,
    cached: Option<CachedTokens>,
    prefilling: Option<Prefilling>,
    /// vLLM was asked for counts that the client did not ask for.
    counted: bool,
}

/// A request between its stages: the prompt is computed, and nobody generates yet. Dropped like that, the prefill's blocks
/// are freed by a decode leg for one token: at the decoder that has been given the request, else at the spare one.
pub struct Prefilled {
    asked: Arc<Asked>,
    decode: Bytes,
    /// What of the decoder's usage is to be corrected.
    cached: Option<CachedTokens>,
    release: Release,
}

impl Runner {
    /// Runs legs with `client`.
    #[must_use]
    pub fn new(settings: Settings, client: Client) -> Self {
        Self { settings, client, bootstraps: Bootstraps::default() }
    }

    /// How requests are coordinated.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn bootstraps(&self) -> &Bootstraps {
        &self.bootstraps
    }

    /// Runs a request on `decoder`, prefilled by the first of `prefillers` that can, in the protocol's order.
    ///
    /// # Errors
    /// What the client is to be told. Dropping the future cancels what may be cancelled.
    pub async fn run(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        let outcome = match self.settings.protocol.order() {
            Order::Serial => Box::pin(self.serial(asked, decoder, prefillers, record)).await,
            Order::Concurrent => Box::pin(self.concurrent(asked, decoder, prefillers, record)).await,
            Order::Decode => Box::pin(self.by_decoder(asked, decoder, prefillers, record)).await,
        };
        match outcome {
            Err(failure) if self.may_decode_alone(&failure) => {
                record.decode_only("prefill_failed");
                self.decode_alone(asked, decoder, record).await
            }
            outcome => outcome,
        }
    }

    /// Whether the decoder is to make up for a failure by doing everything.
    #[must_use]
    pub fn may_decode_alone(&self, failure: &Failure) -> bool {
        failure.stage() == Stage::Prefill && self.settings.on_prefill_failure == OnPrefillFailure::DecodeOnly
    }

    /// The decoder does everything.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn decode_alone(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        let body = hosts::strip(&asked.body);
        self.decode(asked, decoder, body, record, |_| ()).await
    }

    /// The first stage of a serial protocol, for a decoder that is chosen when it is over; `spare` is the decoder by which
    /// blocks are freed should none be.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn prefill(
        &self,
        asked: &Arc<Asked>,
        spare: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Prefilled, Failure> {
        let plan = self.plan(asked)?;
        let handover = self.prefilled(asked, &plan, spare, prefillers, record).await?;
        let cached = plan.reads_prefill().then(|| CachedTokens::of(&handover));
        let decode = plan.decode(&handover);
        let release = Release::new(spare.clone(), self.settings.protocol, Arc::clone(asked), handover);
        Ok(Prefilled { asked: Arc::clone(asked), decode, cached, release })
    }

    /// The second stage of a serial protocol. Where `decoder` is not there ([`Failure::is_unreached`]), another one may be
    /// given the same.
    ///
    /// # Errors
    /// What the client is to be told.
    pub async fn decode_prefilled(
        &self,
        prefilled: &mut Prefilled,
        decoder: &Decoder,
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        let Prefilled { asked, decode, cached, release } = prefilled;
        let decoded = self.decode(asked, decoder, decode.clone(), record, |sent| release.sent(sent, decoder)).await;
        if !decoded.as_ref().is_err_and(Failure::is_unreached) {
            release.disarm();
        }
        decoded.map(|decoded| Decoded { cached: *cached, ..decoded })
    }

    async fn decode(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        body: Bytes,
        record: &mut Record,
        mut on_sent: impl FnMut(Moment),
    ) -> Result<Decoded, Failure> {
        let (body, counted) = self.with_counts(asked, body);
        let sent = decoder.ask(asked, body, |headers, sent| {
            on_sent(sent);
            record.decode_sent(sent).inject(headers);
        });
        let response = sent.await?;
        record.decode_accepted(clock::now(), response.status().as_u16());
        Ok(Decoded { asked: Arc::clone(asked), response, held: Vec::new(), cached: None, prefilling: None, counted })
    }

    /// Asks vLLM to count tokens in every chunk, where that is wished and the client's stream does not have it anyway.
    fn with_counts(&self, asked: &Asked, body: Bytes) -> (Bytes, bool) {
        let wished = self.settings.exact_token_accounting && asked.wishes.streaming && !asked.wishes.continuous_usage;
        let usual = matches!(asked.api, Api::ChatCompletions | Api::Completions);
        if !(wished && usual) {
            return (body, false);
        }
        let Ok(json) = Json::parse(body.clone()) else { return (body, false) };
        let edit = json.edit().set_in("stream_options", "continuous_usage_stats", b"true".as_slice());
        (edit.set_in("stream_options", "include_usage", b"true".as_slice()).build(), true)
    }

    fn plan<'a>(&self, asked: &'a Asked) -> Result<Serial<'a>, Failure> {
        let protocol = self.settings.protocol;
        protocol.serial(asked.api, &asked.body).ok_or_else(|| {
            Failure::own(Stage::Prefill, format!("{protocol} has no stages that can be run one after the other"))
        })
    }

    async fn serial(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        if let Some(body) = self.plan(asked)?.decode_first()
            && let Some(decoded) = self.decode_first(asked, decoder, body, record).await?
        {
            return Ok(decoded);
        }
        let mut prefilled = self.prefill(asked, decoder, prefillers, record).await?;
        let decoded = self.decode_prefilled(&mut prefilled, decoder, record).await;
        // Where this decoder is not there, no other can be given the blocks.
        prefilled.release.disarm();
        decoded
    }

    async fn prefilled(
        &self,
        asked: &Arc<Asked>,
        plan: &Serial<'_>,
        spare: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Handover, Failure> {
        let leg = Leg {
            client: &self.client,
            asked,
            patience: self.settings.patience,
            reads: plan.reads_prefill(),
            rank: None,
            late: plan.reads_prefill().then_some(Late {
                decoder: spare,
                protocol: self.settings.protocol,
                asked,
                max_body: self.settings.patience.max_body,
            }),
        };
        let (answer, prefiller) = prefill::serial(&leg, prefillers, &plan.prefill(), record).await?;
        let handover = plan.handover(answer, &prefiller.peer).map_err(|error| Failure::Made {
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
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        body: Bytes,
        record: &mut Record,
    ) -> Result<Option<Decoded>, Failure> {
        let context = record.context().clone();
        let mut sent_at = None;
        let sent = decoder.ask(asked, body, |headers, sent| {
            sent_at = Some(sent);
            context.inject(headers);
        });
        let mut response = sent.await?;
        let accepted = clock::now();
        let Some(held) = probed(&mut response).await? else { return Ok(None) };
        record.decode_only("cache_hit");
        record.decode_sent(sent_at.unwrap_or(accepted));
        record.decode_accepted(accepted, response.status().as_u16());
        let asked = Arc::clone(asked);
        Ok(Some(Decoded { asked, response, held, cached: None, prefilling: None, counted: false }))
    }

    async fn concurrent(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        let Met { response, held, prefilling } = Legs { runner: self, asked, decoder }.run(prefillers, record).await?;
        record.decode_accepted(clock::now(), response.status().as_u16());
        Ok(Decoded { asked: Arc::clone(asked), response, held, cached: None, prefilling, counted: false })
    }

    /// One leg: the decoder has the prompt computed by the prefill instance that is named to it.
    async fn by_decoder(
        &self,
        asked: &Arc<Asked>,
        decoder: &Decoder,
        prefillers: &[Prefiller],
        record: &mut Record,
    ) -> Result<Decoded, Failure> {
        let Some(prefiller) = prefillers.first() else { return self.decode_alone(asked, decoder, record).await };
        record.prefill_target(prefiller.target.authority());
        record.prefill_by_decoder();
        let plan = self.settings.protocol.plan(asked.api, &asked.body, &prefiller.peer, None);
        match plan.map_err(|error| Failure::own(Stage::Prefill, error.to_string()))? {
            Plan::Decode(body) => self.decode(asked, decoder, body, record, |_| ()).await,
            Plan::Serial(_) | Plan::Concurrent(_) => {
                Err(Failure::own(Stage::Prefill, "the protocol plans more than a decode leg"))
            }
        }
    }
}

impl Decoded {
    /// The decoder's status.
    #[must_use]
    pub fn status(&self) -> http::StatusCode {
        self.response.status()
    }

    /// Puts the decoder's response on its way; `record` settles with its end. `wants_trailers` says that the client takes
    /// trailers.
    pub async fn answer(self, mut record: Record, wants_trailers: bool) -> Response<Body> {
        let Self { asked, response, mut held, cached, prefilling, counted } = self;
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
