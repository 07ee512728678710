//! The client: kept-alive connections, one exchange per request, every stamp taken where the bytes are read.

mod connection;
mod exchange;
mod reading;
mod request;

pub(crate) use exchange::{Client, get};
