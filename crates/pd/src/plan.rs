//! The legs of one request.

use bytes::Bytes;
use openai::{Api, Body, BodyError, Edit, Usage};

use crate::{Meeting, Peer, Protocol, Room, hosts, limits};

/// What vLLM's NixlConnector wants to read in a prefill leg: six members, the unknown ones null explicitly.
const NIXL_PREFILL: &str = concat!(
    r#"{"do_remote_decode":true,"do_remote_prefill":false,"remote_engine_id":null,"#,
    r#""remote_block_ids":null,"remote_host":null,"remote_port":null}"#,
);

/// What tells blade-kvt's prefill instance that somebody else will generate.
const KVT_PREFILL: &str = r#"{"do_remote_decode":true}"#;

/// The legs of one request under one protocol.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Prefill, then decode.
    Serial(Serial<'a>),
    /// Both at once.
    Concurrent(Concurrent),
    /// The decode leg alone, with this body: the decoder has the prompt computed by the prefill instance that it names.
    Decode(Bytes),
}

impl Protocol {
    /// The legs of a request to `api` with the client's `body`, where the prefill leg goes first; `None` in other protocols.
    #[must_use]
    pub fn serial<'a>(self, api: Api, body: &'a Body) -> Option<Serial<'a>> {
        let store = match self {
            Self::NixlV2 => Store::Blocks,
            Self::SharedStorage => Store::Shared,
            Self::Kvt { staged: true } => Store::Address,
            Self::Kvt { staged: false } | Self::SgLang { .. } | Self::Mooncake { .. } => return None,
        };
        Some(Serial { api, body, store })
    }

    /// Plans one attempt at a request to `api` with the client's `body`, prefilled by `peer`. `meeting` is where the legs
    /// of a concurrent protocol meet; the others have no use for it.
    ///
    /// # Errors
    /// When the protocol needs to know more of the peer, or of the meeting.
    pub fn plan<'a>(
        self,
        api: Api,
        body: &'a Body,
        peer: &Peer,
        meeting: Option<&Meeting>,
    ) -> Result<Plan<'a>, PlanError> {
        if let Some(serial) = self.serial(api, body) {
            return Ok(Plan::Serial(serial));
        }
        match (self, meeting) {
            (Self::SgLang { bootstrap_port }, Some(Meeting::Room(room))) => {
                Ok(Plan::Concurrent(in_room(body, peer.host(), bootstrap_port, *room)))
            }
            (Self::Mooncake { .. }, Some(Meeting::Transfer(transfer))) => {
                let prefill = unstreamed(limits::one_token(api, body, hosts::edit(body)));
                let prefill = prefill.set("kv_transfer_params", transfer.prefill()).build();
                let decode = hosts::edit(body).set("kv_transfer_params", transfer.decode()).build();
                Ok(Plan::Concurrent(Concurrent { prefill, decode, rank: Some(transfer.rank()) }))
            }
            (Self::Kvt { .. }, _) => {
                let address = kvt_address(peer, "")?;
                Ok(Plan::Decode(hosts::edit(body).set("kv_transfer_params", address.into_bytes()).build()))
            }
            _ => Err(PlanError::NoMeeting(self.name())),
        }
    }
}

/// Why an attempt cannot be planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The two legs would not find each other.
    #[error("{0}: nobody said where the two legs meet")]
    NoMeeting(&'static str),
    /// A decoder could not find the prefill instance.
    #[error("kvt: nobody said where the prefill instance's connector listens")]
    NoKvAddress,
}

/// Where blade-kvt finds the prefill instance, as JSON; `more` are members before the address.
fn kvt_address(peer: &Peer, more: &str) -> Result<String, PlanError> {
    let (host, port) = peer.kv_address().ok_or(PlanError::NoKvAddress)?;
    let host = serde_json::Value::from(host);
    Ok(format!(r#"{{{more}"remote_host":{host},"remote_port":{port}}}"#))
}

/// The two legs of a concurrent protocol.
#[derive(Clone, Debug)]
pub struct Concurrent {
    /// Body of the prefill leg. Its response is read to the end and dropped.
    pub prefill: Bytes,
    /// Body of the decode leg, whose response is the client's.
    pub decode: Bytes,
    /// The data-parallel rank that the prefill leg must run on, where that matters.
    pub rank: Option<u32>,
}

fn in_room(body: &Body, prefill_host: &str, port: u16, room: Room) -> Concurrent {
    let host = serde_json::Value::from(prefill_host).to_string();
    let both = hosts::edit(body)
        .set("bootstrap_host", host.into_bytes())
        .set("bootstrap_port", port.to_string().into_bytes())
        .set("bootstrap_room", room.number().to_string().into_bytes())
        .build();
    Concurrent { prefill: both.clone(), decode: both, rank: None }
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
    /// In blocks of its own, which the decoder asks for by the request's id at the address of its connector.
    Address,
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

/// A prefill answered with success, and nothing can be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Its body cannot be read.
    #[error("the prefill response is not a JSON object: {0}")]
    Body(#[from] BodyError),
    /// The decoder could not find it.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

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
            Store::Address => unstreamed(edit).set("kv_transfer_params", KVT_PREFILL.as_bytes()).build(),
        }
    }

    /// Whether the bytes of the prefill response matter; if not, they may be dropped as they come.
    #[must_use]
    pub fn reads_prefill(&self) -> bool {
        self.store != Store::Shared
    }

    /// Reads a successful prefill response of `peer`.
    ///
    /// # Errors
    /// When it is not a JSON object although the protocol needs one, or nothing is known of the peer that has to be.
    pub fn handover(&self, response: Bytes, peer: &Peer) -> Result<Handover, HandoverError> {
        let named = match self.store {
            Store::Shared => return Ok(Handover::default()),
            Store::Blocks => None,
            Store::Address => Some(Bytes::from(kvt_address(peer, r#""do_remote_prefill":true,"#)?)),
        };
        let response = Body::parse(response)?;
        let params = response.get("kv_transfer_params").filter(|raw| *raw != b"null");
        Ok(Handover {
            params: named.or_else(|| params.map(|raw| response.bytes().slice_ref(raw))),
            cached_tokens: response.get("usage").and_then(Usage::from_member).and_then(|usage| usage.cached_tokens),
        })
    }

    /// Body of the decode leg: the client's, and what was handed over.
    #[must_use]
    pub fn decode(&self, handover: &Handover) -> Bytes {
        let edit = hosts::edit(self.body);
        match self.store {
            Store::Blocks | Store::Address => {
                edit.set("kv_transfer_params", handover.params.as_deref().unwrap_or(b"null")).build()
            }
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
