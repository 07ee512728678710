//! The P/D coordinator: one disaggregated request, from the client's body to a response that is on its way.
//!
//! `pd` plans what each leg says; this crate sends the legs, watches both, and gives the client one truthful answer. It is
//! the same code whether it runs as a process beside a decode engine (`sidecar`) or inside the gateway, so the two fail,
//! retry and measure alike. In the order in which a request meets them:
//!
//! - [`Asked`] is the request as it was read, shared by its legs.
//! - [`Runner`] decides by the protocol's order which legs run when, and with which candidates.
//! - `prefill` runs the first leg of a serial protocol, `concurrent` both legs of the others; `bootstrap` asks a prefill
//!   server's bootstrap service where a protocol needs that.
//! - `release` sends the leg that frees a prefill's blocks when the client has left between the stages.
//! - `answer` reads what has to be read of the decoder's answer before it can go on; `relay` hands it on, counts its
//!   tokens, and gives it a truthful end.
//!
//! Deliberately absent: who may be a prefill target, which instances there are, how a process is configured.

mod answer;
mod asked;
mod bootstrap;
mod concurrent;
mod failure;
mod late;
mod prefill;
mod relay;
mod release;
mod run;

pub use asked::{Asked, Wishes};
pub use failure::{Answer, Failure, made};
pub use prefill::{Patience, Prefiller};
pub use release::Decoder;
pub use run::{Decoded, OnPrefillFailure, Prefilled, Runner, Settings, connector};
