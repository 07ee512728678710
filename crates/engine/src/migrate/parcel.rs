//! A request as it goes from one instance to another, in Candor's own form.

use crate::core::Departure;
use crate::core::hash::{BlockChain, BlockHash};
use crate::engine::Engine;
use crate::kv::Lease;
use crate::observe::Meta;
use serde::{Deserialize, Serialize};
use telemetry::trace::TraceContext;

/// What `serialization_format` says of it.
pub(super) const FORMAT: &str = "candor-json";

/// All that the other instance must know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// The request's name towards its client, and what it is for.
    id: String,
    pub(super) model: String,
    top_p: f64,
    /// Hashes of the full blocks, and what the unfinished one has so far.
    pub(super) block_size: u32,
    hashes: Vec<u64>,
    tail: u64,
    tail_len: u32,
    generated: u32,
    computed: u32,
    text_seed: u64,
    max_tokens: u32,
    stop_after: Option<u32>,
    /// The side channel of the instance that it comes from, where the KV is and reports go; that instance's name, and the
    /// request's.
    address: String,
    engine_id: String,
    pub(super) name: String,
}

impl Parcel {
    pub(super) fn new(engine: &Engine, name: &str, meta: &Meta, departure: &Departure) -> Self {
        let (tail, tail_len) = departure.chain.tail();
        Self {
            id: meta.id.clone(),
            model: meta.model.clone(),
            top_p: meta.top_p,
            block_size: engine.config.core.block_size,
            hashes: departure.chain.hashes().iter().map(|hash| hash.0).collect(),
            tail,
            tail_len,
            generated: departure.generated,
            computed: departure.computed,
            text_seed: departure.text_seed,
            max_tokens: departure.max_tokens,
            stop_after: departure.stop_after,
            address: engine.side_channel.to_string(),
            engine_id: engine.config.engine_id.clone(),
            name: name.to_owned(),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Numbers and texts: this does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let parcel: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("the request cannot be read: {error}"))?;
        let tokens = parcel.hashes.len() as u64 * u64::from(parcel.block_size) + u64::from(parcel.tail_len);
        let is_sound = parcel.block_size > parcel.tail_len
            && u64::from(parcel.generated) < tokens
            && u64::from(parcel.computed) < tokens
            && u32::try_from(tokens).is_ok();
        if is_sound { Ok(parcel) } else { Err("the request contradicts itself".to_owned()) }
    }

    /// Where its KV is, and where reports go.
    pub(super) fn lease(&self) -> Lease {
        let request_id = self.name.clone();
        Lease { address: self.address.clone(), engine_id: self.engine_id.clone(), request_id }
    }

    /// Prompt tokens.
    pub(super) fn prompt_tokens(&self) -> u32 {
        self.hashes.len() as u32 * self.block_size + self.tail_len - self.generated
    }

    /// Most tokens it may have generated.
    pub(super) const fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    /// The request, and what it is called.
    pub(super) fn unpack(self) -> (Departure, Meta) {
        let hashes = self.hashes.into_iter().map(BlockHash).collect();
        let departure = Departure {
            chain: BlockChain::from_parts(self.block_size, hashes, (self.tail, self.tail_len)),
            generated: self.generated,
            computed: self.computed,
            text_seed: self.text_seed,
            max_tokens: self.max_tokens,
            stop_after: self.stop_after,
        };
        let meta = Meta {
            id: self.id,
            model: self.model,
            max_tokens: self.max_tokens,
            n: 1,
            top_p: self.top_p,
            parent: None::<TraceContext>,
            guest: true,
        };
        (departure, meta)
    }
}
