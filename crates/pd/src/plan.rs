//! The legs of one request.

use bytes::Bytes;
use openai::{Api, Body, BodyError, Edit, Usage};
use rand::RngExt as _;

use crate::{Protocol, hosts, limits};

/// What vLLM's NixlConnector wants to read in a prefill leg: six members, the unknown ones null explicitly.
const NIXL_PREFILL: &str = concat!(
    r#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"#,
    r#""remote_block_ids":null,"remote_host":null,"remote_port":null}"#,
);

/// The legs of one request under one protocol.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Prefill, then decode.
    Serial(Serial<'a>),
    /// Both at once.
    Concurrent(Concurrent),
}

impl Protocol {
    /// Plans the legs of a request to `api` with the client's `body`, prefilled on `prefill_host` (a host without a port).
    ///
    /// A plan of a concurrent protocol is for one attempt: another attempt takes another [`Room`].
    #[must_use]
    pub fn plan<'a>(self, api: Api, body: &'a Body, prefill_host: &str, room: Room) -> Plan<'a> {
        match self {
            Self::NixlV2 => Plan::Serial(Serial { api, body, store: Store::Blocks }),
            Self::SharedStorage => Plan::Serial(Serial { api, body, store: Store::Shared }),
            Self::SgLang { bootstrap_port } => Plan::Concurrent(meet(body, prefill_host, bootstrap_port, room)),
        }
    }
}

/// Where SGLang's two legs meet: a number that no other request on the prefill server uses at the same time.
///
/// Two requests in one room crash the scheduler of the engine, and whoever guesses a room can enter it. So it is 62 random
/// bits from a cryptographic generator: coordinators need not know of each other, and a clock (what peers use) gives
/// neither property. The 63rd bit stays free because SGLang numbers the prompts of a batch upwards from the room in a
/// signed 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(u64);

impl Room {
    /// A room of one's own.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::rng().random_range(1..1 << 62))
    }

    /// The room's number: positive, and fits a signed 64-bit integer.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The two legs of a concurrent protocol.
#[derive(Clone, Debug)]
pub struct Concurrent {
    /// Body of the prefill leg. Its response is read to the end and dropped.
    pub prefill: Bytes,
    /// Body of the decode leg, whose response is the client's.
    pub decode: Bytes,
}

fn meet(body: &Body, prefill_host: &str, port: u16, room: Room) -> Concurrent {
    let host = serde_json::Value::from(prefill_host).to_string();
    let both = hosts::edit(body)
        .set("bootstrap_host", host.into_bytes())
        .set("bootstrap_port", port.to_string().into_bytes())
        .set("bootstrap_room", room.number().to_string().into_bytes())
        .build();
    Concurrent { prefill: both.clone(), decode: both }
}

/// The two legs of a serial protocol; the second is planned when the first has answered.
#[derive(Clone, Copy, Debug)]
pub struct Serial<'a> {
    api: Api,
    body: &'a Body,
    store: Store,
}

/// Where the prefill leaves its KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    /// In blocks of its own that it names, and keeps until the decoder has pulled them.
    Blocks,
    /// In a store that both share; nobody names anything.
    Shared,
}

/// What a prefill response hands over to the decode leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    params: Option<Bytes>,
    cached_tokens: Option<u64>,
}

impl Handover {
    /// Prompt tokens that the prefill found in its cache; the decoder's own count says only what was transferred.
    #[must_use]
    pub fn cached_tokens(&self) -> Option<u64> {
        self.cached_tokens
    }

    /// Whether the prefill named what it holds. Without that the decoder computes the prompt again.
    #[must_use]
    pub fn names_blocks(&self) -> bool {
        self.params.is_some()
    }
}

/// A prefill answered with success, and its body cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the prefill response is not a JSON object: {0}")]
pub struct PrefillBodyError(#[from] BodyError);

impl Serial<'_> {
    /// The body to try on the decoder before any prefill, where the client's threshold asks for that.
    #[must_use]
    pub fn decode_first(&self) -> Option<Bytes> {
        let asked = self.store == Store::Shared && self.body.get("cache_hit_threshold").is_some();
        asked.then(|| hosts::strip(self.body))
    }

    /// Body of the prefill leg.
    #[must_use]
    pub fn prefill(&self) -> Bytes {
        let edit = limits::one_token(self.api, self.body, hosts::edit(self.body));
        match self.store {
            Store::Blocks => {
                // A streamed prefill answers 200 and never says where its blocks are.
                unstreamed(edit).set("kv_transfer_params", NIXL_PREFILL.as_bytes()).build()
            }
            Store::Shared => edit.set("cache_hit_threshold", b"0".as_slice()).build(),
        }
    }

    /// Whether the bytes of the prefill response matter; if not, they may be dropped as they come.
    #[must_use]
    pub fn reads_prefill(&self) -> bool {
        self.store == Store::Blocks
    }

    /// Reads a successful prefill response.
    ///
    /// # Errors
    /// When it is not a JSON object although the protocol needs one.
    pub fn handover(&self, response: Bytes) -> Result<Handover, PrefillBodyError> {
        if self.store == Store::Shared {
            return Ok(Handover::default());
        }
        let response = Body::parse(response)?;
        let params = response.get("kv_transfer_params").filter(|raw| *raw != b"null");
        Ok(Handover {
            params: params.map(|raw| response.bytes().slice_ref(raw)),
            cached_tokens: response.get("usage").and_then(Usage::from_member).and_then(|usage| usage.cached_tokens),
        })
    }

    /// Body of the decode leg: the client's, and what was handed over.
    #[must_use]
    pub fn decode(&self, handover: &Handover) -> Bytes {
        let edit = hosts::edit(self.body);
        match self.store {
            Store::Blocks => edit.set("kv_transfer_params", handover.params.as_deref().unwrap_or(b"null")).build(),
            Store::Shared => edit.set("cache_hit_threshold", b"0".as_slice()).build(),
        }
    }

    /// Body of a decode leg whose only purpose is that the prefill's blocks are fetched and freed: the client has left
    /// between the stages, and nothing else would free them before the engine's abort time-out (480 s in vLLM).
    ///
    /// `None` where the prefill holds nothing for this request.
    #[must_use]
    pub fn release(&self, handover: &Handover) -> Option<Bytes> {
        let held = handover.params.as_deref()?;
        let edit = limits::one_token(self.api, self.body, hosts::edit(self.body));
        Some(unstreamed(edit).set("kv_transfer_params", held).build())
    }
}

/// One answer instead of a stream. `stream_options` goes with it: engines refuse it without `stream`.
fn unstreamed(edit: Edit<'_>) -> Edit<'_> {
    edit.set("stream", b"false".as_slice()).remove("stream_options")
}
