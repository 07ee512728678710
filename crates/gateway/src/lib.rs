//! The gateway: Candor's front door.
//!
//! A client speaks OpenAI's HTTP API to one address; behind it are many engines. For each request the gateway reads as much
//! of the body as it must, chooses who serves it, hands the client's own bytes to that instance, and relays the answer chunk
//! by chunk as it comes. What it reports of a request is what the client saw.
//!
//! One module per stage, in the order of a request's life:
//!
//! | stage | module |
//! |---|---|
//! | from a path to a handler | `routes`, `service`; described by `openapi` |
//! | who is let in | `access`; `keys`, `cors` |
//! | one request, head to head | `exchange` |
//! | the body made ready; how long its prompt is | `prepare`; `prompt`, `tokens` |
//! | what it may use | `limits` |
//! | who may be placed now, who waits | `admission` |
//! | into the cluster, or out of it | `journey`; [`traffic`] |
//! | one attempt after the other | `attempts`; `retry` |
//! | who there is; who serves | [`endpoints`], `directory`; `placing`, `scheduler`, `routing` |
//! | where it goes, and through which legs | `destination`; `disagg`, `staged` |
//! | which fields go on | `headers` |
//! | the answer on its way | `relay` |
//! | what went wrong | `errors`; in telemetry's terms: `outcome` |
//!
//! What all requests share is `state`. It knows the parts and none of the stages, which know it.
//!
//! Deliberately absent: knowledge of a P/D protocol (`pd` and `coordinator` have that), of a metric's name (`telemetry` has
//! that), and of the meaning of a prompt. A chat stays a chat: where a prompt is templated and cut into tokens to know how long
//! it is (`tokens`), the engine still gets the client's own bytes.

mod access;
mod admin;
mod admission;
mod ask;
mod attempts;
mod caller;
pub mod config;
mod cors;
mod destination;
mod directory;
mod disagg;
pub mod endpoints;
mod errors;
mod exchange;
mod headers;
mod held;
mod journey;
mod keys;
mod limits;
mod mirror;
mod models;
mod openapi;
mod outcome;
mod placing;
mod prepare;
mod prompt;
mod relay;
mod reload;
mod retry;
mod routes;
mod routing;
mod run;
mod scheduler;
mod service;
mod staged;
mod state;
mod tokenize;
mod tokens;
pub mod traffic;

pub use config::{Args, Config, Fault};
pub use run::{Running, StartError, start};
