//! From a request to its answer: where its KV comes from, its place in the instance, and who gets its KV afterwards.

use super::answer::{Answer, Choice};
use super::stream::{Broken, GARBAGE};
use super::{Refusal, document, json_response};
use crate::api::{Embeddings, Frame, KvParams, Limits, Request as Parsed, Terms, Tools};
use crate::config::{Connector, Role};
use crate::core::hash::{self, BlockChain};
use crate::core::{External, Spec};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::instance::Ticket;
use crate::kv::rooms::{Seat, Side};
use crate::kv::{ANY_ENGINE, Lease, Source};
use crate::observe::Meta;
use crate::text;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use openai::Api;
use proxy::Body;
use proxy::body::{CollectError, collect};
use serde_json::json;
use std::sync::Arc;
use telemetry::trace::TraceContext;

/// Most choices per request.
const MAX_CHOICES: u32 = 16;

/// After how many tokens a function call is complete.
const CALL_TOKENS: u32 = 12;

/// Where a request's KV comes from and goes to.
#[derive(Default)]
struct Route {
    external: External,
    source: Option<Source>,
    hold: bool,
    /// This instance is the prefill side of a room.
    room: Option<Seat>,
    /// It answers when it has computed, and keeps the KV for the other side (Mooncake).
    keeps: bool,
}

/// `POST` to an API that generates.
pub(super) async fn generate(
    engine: Arc<Engine>,
    api: Api,
    fault: Fault,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let body = read(&engine, body).await?;
    let parsed = parse(&engine, api, &body)?;
    drop(body);
    let meta = meta(&engine, &parsed, &head.headers);
    let mut prompt = BlockChain::new(engine.config.core.block_size, parsed.salt);
    prompt.extend(parsed.prompt.iter().copied());
    let mut route = route(&engine, &parsed, &prompt, &meta.id).await?;
    let room = route.room.take();
    match room {
        Some(seat) if route.keeps => return kept(engine, parsed, prompt, meta, fault, seat).await,
        Some(seat) => return in_room(engine, parsed, prompt, meta, fault, seat).await,
        None => {}
    }
    let stream = parsed.stream;
    let answer = submit(&engine, &parsed, prompt, route, meta, fault);
    if stream {
        tokio::time::sleep(engine.config.head_delay).await;
        Ok(answer.into_stream())
    } else {
        answer.into_document().await
    }
}

/// Prefill in a room: computes once decode is there, and answers once decode has the KV, as SGLang does.
async fn in_room(
    engine: Arc<Engine>,
    parsed: Parsed,
    prompt: BlockChain,
    meta: Meta,
    fault: Fault,
    mut seat: Seat,
) -> Result<Response<Body>, Refusal> {
    let patience = engine.config.room_timeout;
    tokio::time::timeout(patience, seat.joined()).await.map_err(|_| {
        let message = format!("room timed out after {}s in KVPoll.Bootstrapping", patience.as_secs_f64());
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    })?;
    let stream = parsed.stream;
    let answer = computed(&engine, parsed, prompt, meta, fault, &mut seat).await;
    // Whether decode took it or let the time pass: the memory is needed.
    let _ = tokio::time::timeout(patience, seat.done()).await;
    answer.release_holds();
    if stream { Ok(answer.into_stream()) } else { answer.into_document().await }
}

/// Prefill for a transfer: computes and answers at once, and keeps the KV until decode has it, as Mooncake does.
async fn kept(
    engine: Arc<Engine>,
    parsed: Parsed,
    prompt: BlockChain,
    meta: Meta,
    fault: Fault,
    mut seat: Seat,
) -> Result<Response<Body>, Refusal> {
    let patience = engine.config.room_timeout;
    let answer = computed(&engine, parsed, prompt, meta, fault, &mut seat).await;
    let held = answer.holds();
    let keeper = Arc::clone(&engine);
    engine.background.spawn(async move {
        // Whether decode took it or let the time pass: the memory is needed.
        let _ = tokio::time::timeout(patience, seat.done()).await;
        for id in held {
            keeper.instance.release(id);
        }
    });
    answer.into_document().await
}

/// Computes a prompt and keeps its KV for whoever sits at the other end of the transfer.
async fn computed(
    engine: &Arc<Engine>,
    parsed: Parsed,
    prompt: BlockChain,
    meta: Meta,
    fault: Fault,
    seat: &mut Seat,
) -> Answer {
    let parsed = Parsed { max_tokens: 1, min_tokens: 0, n: 1, ..parsed };
    let route = Route { hold: true, ..Route::default() };
    let mut answer = submit(engine, &parsed, prompt, route, meta, fault);
    answer.finish_all().await;
    seat.set_ready();
    answer
}

/// Puts every choice of a request into the instance.
fn submit(
    engine: &Arc<Engine>,
    parsed: &Parsed,
    prompt: BlockChain,
    mut route: Route,
    meta: Meta,
    fault: Fault,
) -> Answer {
    let created = telemetry::clock::now().unix_nanos() / 1_000_000_000;
    let dialect = engine.config.dialect;
    let continuous = parsed.continuous_usage.then(|| prompt.len());
    let terms =
        Terms { api: parsed.api, dialect, id: &meta.id, model: &meta.model, created, prompt: prompt.len(), continuous };
    let tools = parsed.tools.clone().map(|tools| Tools { seed: hash::bytes(0, meta.id.as_bytes()), ..tools });
    let frame = Frame::new(terms, tools);
    let seed = hash::fold(prompt.fingerprint(), engine.config.core.seed);
    let choices = (0..parsed.n).map(|index| {
        let text_seed = if index == 0 { seed } else { hash::fold(seed, u64::from(index)) };
        let stop = text::find_stop(text_seed, parsed.max_tokens, &parsed.stop);
        let end = natural_end(engine, parsed, text_seed);
        let call = parsed.tools.as_ref().map(|_| CALL_TOKENS.max(parsed.min_tokens));
        let spec = Spec {
            stop_after: [stop.as_ref().map(|stop| stop.tokens), end, call].into_iter().flatten().min(),
            external: std::mem::take(&mut route.external),
            hold: route.hold && index == 0,
            cache_hit_threshold: parsed.cache_hit_threshold.unwrap_or(engine.config.cache_hit_threshold),
            ..Spec::new(prompt.clone(), text_seed, parsed.max_tokens)
        };
        let ticket: Ticket = engine.instance.submit(spec, route.source.take(), meta.clone());
        Choice::new(ticket, text_seed, stop)
    });
    let choices = choices.collect();
    let stored = engine.store.as_ref().map(|_| prompt);
    Answer {
        engine: Arc::clone(engine),
        frame,
        choices,
        fault,
        id: meta.id,
        include_usage: parsed.include_usage,
        stored,
    }
}

/// After how many tokens the text would end by itself.
fn natural_end(engine: &Engine, parsed: &Parsed, text_seed: u64) -> Option<u32> {
    let mean = engine.config.mean_output_tokens.filter(|_| !parsed.ignore_eos)?;
    // Exponential, the memoryless choice: any token may be the last with equal probability.
    let length = -mean * (1.0 - hash::unit(hash::fold(text_seed, u64::MAX))).ln();
    Some((length.ceil() as u32).max(parsed.min_tokens).max(1))
}

async fn route(engine: &Arc<Engine>, parsed: &Parsed, prompt: &BlockChain, id: &str) -> Result<Route, Refusal> {
    let speaks = |connector| engine.config.connectors.contains(&connector);
    if let Some(bootstrap) = parsed.bootstrap.as_ref().filter(|_| speaks(Connector::Sglang)) {
        if takes_prefill(engine, &bootstrap.address) {
            let seat = engine.keeper.rooms.enter(bootstrap.room, Side::Prefill);
            let room = Some(
                seat.ok_or_else(|| Refusal::bad_request("duplicate bootstrap_room").with_param("bootstrap_room"))?,
            );
            return Ok(Route { room, ..Route::default() });
        }
        let source =
            Source::Room { address: bootstrap.address.clone(), room: bootstrap.room, engine_id: String::new() };
        return Ok(Route { external: External::Peer(prompt.len()), source: Some(source), ..Route::default() });
    }
    match &parsed.kv {
        KvParams::Hold if speaks(Connector::Nixl) => Ok(Route { hold: true, ..Route::default() }),
        KvParams::Pull(Some(lease)) if speaks(Connector::Nixl) => {
            let source = Some(Source::Lease(lease.clone()));
            Ok(Route { external: External::Peer(prompt.len()), source, ..Route::default() })
        }
        KvParams::Hold if speaks(Connector::Kvt) => Ok(Route { hold: true, ..Route::default() }),
        KvParams::Ask { address, staged } if speaks(Connector::Kvt) => {
            let request_id = id.replace(char::is_whitespace, "_");
            let lease = Lease { address: address.clone(), engine_id: ANY_ENGINE.to_owned(), request_id };
            let source = match staged {
                true => Source::Lease(lease),
                false => Source::Computed { lease, prompt: (parsed.salt, parsed.prompt.as_slice().into()) },
            };
            Ok(Route { external: External::Peer(prompt.len()), source: Some(source), ..Route::default() })
        }
        KvParams::Keep(transfer) if speaks(Connector::Mooncake) => {
            let seat = engine.keeper.rooms.enter(room_of(transfer), Side::Prefill);
            let seat = seat.ok_or_else(|| Refusal::bad_request("duplicate transfer_id"))?;
            Ok(Route { room: Some(seat), keeps: true, ..Route::default() })
        }
        KvParams::Meet(meeting) if speaks(Connector::Mooncake) => {
            let (address, engine_id) = (meeting.address.clone(), meeting.engine_id.clone());
            let source = Source::Room { address, room: room_of(&meeting.transfer), engine_id };
            Ok(Route { external: External::Peer(prompt.len()), source: Some(source), ..Route::default() })
        }
        // As vLLM does with parameters that it cannot use: it says so in its log and computes the prompt itself.
        _ => Ok(look_up(engine, prompt).await),
    }
}

/// The room in which the two sides of a transfer meet.
fn room_of(transfer: &str) -> u64 {
    hash::bytes(2, transfer.as_bytes())
}

fn takes_prefill(engine: &Engine, address: &str) -> bool {
    match engine.config.role {
        Role::Prefill => true,
        Role::Decode => false,
        Role::Neutral => address.ends_with(&format!(":{}", engine.bootstrap.port())),
    }
}

/// Asks the shared store what it has of the prompt. A store that cannot be reached has nothing.
async fn look_up(engine: &Engine, prompt: &BlockChain) -> Route {
    let Some(store) = &engine.store else {
        return Route::default();
    };
    match store.hits(prompt.hashes()).await {
        Ok(0) => Route::default(),
        Ok(hits) => {
            let tokens = hits as u32 * engine.config.core.block_size;
            Route { external: External::Store(tokens), source: Some(Source::Store), ..Route::default() }
        }
        Err(error) => {
            tracing::warn!(%error, "shared store not reached");
            Route::default()
        }
    }
}

fn parse(engine: &Engine, api: Api, body: &[u8]) -> Result<Parsed, Refusal> {
    let limits = Limits { max_model_len: engine.config.max_model_len, max_choices: MAX_CHOICES };
    let parsed = Parsed::parse(api, body, limits)?;
    check_model(engine, parsed.model.as_ref())?;
    Ok(parsed)
}

fn meta(engine: &Engine, parsed: &Parsed, headers: &HeaderMap) -> Meta {
    let name = request_name(headers);
    Meta {
        id: format!("{}{name}", prefix(parsed.api)),
        model: model_name(engine, parsed.model.as_ref()),
        max_tokens: parsed.max_tokens,
        n: parsed.n,
        top_p: parsed.top_p,
        parent: TraceContext::extract(headers),
        guest: false,
    }
}

/// What the client called the request, else something random.
fn request_name(headers: &HeaderMap) -> String {
    let named = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    named.map_or_else(|| format!("{:016x}", uuid::Uuid::new_v4().as_u64_pair().0), str::to_owned)
}

/// What the names of an API's answers begin with.
const fn prefix(api: Api) -> &'static str {
    match api {
        Api::ChatCompletions => "chatcmpl-",
        Api::Messages => "msg_",
        Api::Responses => "resp_",
        Api::Embeddings => "embd-",
        _ => "cmpl-",
    }
}

fn model_name(engine: &Engine, asked: Option<&String>) -> String {
    asked.or_else(|| engine.config.models.first()).cloned().unwrap_or_default()
}

fn check_model(engine: &Engine, asked: Option<&String>) -> Result<(), Refusal> {
    match asked {
        Some(model) if !engine.config.models.contains(model) => {
            Err(Refusal::not_found(format!("The model `{model}` does not exist.")).with_param("model"))
        }
        _ => Ok(()),
    }
}

/// Reads a body of at most the configured length.
pub(super) async fn read(engine: &Engine, body: Incoming) -> Result<Bytes, Refusal> {
    collect(body, engine.config.max_body_bytes).await.map_err(|error| match error {
        CollectError::TooLarge { .. } => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", error.to_string())
        }
        CollectError::Incomplete(_) => Refusal::bad_request(error.to_string()),
    })
}

/// `POST /tokenize`.
pub(super) async fn tokenize(engine: &Engine, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let body = read(engine, request.into_body()).await?;
    let chat = openai::Body::parse(body.clone()).is_ok_and(|body| body.get("messages").is_some());
    let api = if chat { Api::ChatCompletions } else { Api::Completions };
    let tokens = parse(engine, api, &body)?.prompt;
    Ok(document(&json!({"count": tokens.len(), "max_model_len": engine.config.max_model_len, "tokens": tokens})))
}

/// `POST /v1/embeddings`. Each input takes its place in the instance as a prompt does whose answer is one token; unlike a
/// real instance, this one counts that token as generated.
pub(super) async fn embed(
    engine: Arc<Engine>,
    fault: Fault,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let asked = Embeddings::parse(&read(&engine, body).await?, engine.config.max_model_len)?;
    check_model(&engine, asked.model.as_ref())?;
    let (name, model) = (request_name(&head.headers), model_name(&engine, asked.model.as_ref()));
    let id = format!("{}{name}", prefix(Api::Embeddings));
    let mut waiting = Vec::with_capacity(asked.inputs.len());
    for tokens in &asked.inputs {
        let mut prompt = BlockChain::new(engine.config.core.block_size, 0);
        prompt.extend(tokens.iter().copied());
        let meta = Meta {
            id: id.clone(),
            model: model.clone(),
            max_tokens: 1,
            n: 1,
            top_p: 1.0,
            parent: TraceContext::extract(&head.headers),
            guest: false,
        };
        let seed = prompt.fingerprint();
        waiting.push(engine.instance.submit(Spec::new(prompt, seed, 1), None, meta));
    }
    for ticket in &mut waiting {
        ticket.finished().await;
    }
    let created = telemetry::clock::now().unix_nanos() / 1_000_000_000;
    let document = asked.document(&id, &model, created).to_string();
    let body = if fault.garbage { GARBAGE.into() } else { Bytes::from(document) };
    let mut response = json_response(Bytes::new());
    *response.body_mut() = Broken::wrap(body.into(), fault);
    Ok(response)
}

impl Answer {
    /// The whole answer, once every choice has ended.
    async fn into_document(mut self) -> Result<Response<Body>, Refusal> {
        self.finish_all().await;
        if let Some(job) = self.store_job() {
            job.await;
        }
        let kv = self.grant_lease();
        let body = if self.fault.garbage { GARBAGE.into() } else { self.document(kv.as_deref())? };
        let mut response = json_response(Bytes::new());
        *response.body_mut() = Broken::wrap(body.into(), self.fault);
        Ok(response)
    }
}
