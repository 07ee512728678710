//! Exchanges whose caller has left.
//!
//! To close a connection is how an engine learns that nobody waits any more, and mostly that is all there is to say. But a
//! prefill that is over holds blocks, and which ones only its answer tells; an answer that was on its way when the
//! connection closed is lost, and the blocks stay. So where the caller wishes, only this side is closed. The engine takes
//! the end of the stream for the client's leaving just the same, and what it had answered by then can still be read.

use std::sync::Arc;

use http::Response;

use super::error::ClientError;
use super::h1;
use super::pool::Host;
use super::upstream::{Exchange, UpstreamBody};

/// A request that was sent and whose caller left before the response head was there.
pub struct Abandoned {
    conn: Box<h1::Conn>,
    host: Arc<Host>,
    exchange: Exchange,
}

/// What is done with an exchange whose caller leaves.
pub type OnAbandoned<'a> = &'a mut (dyn FnMut(Abandoned) + Send);

impl Abandoned {
    /// The answer, where it was on its way already.
    ///
    /// # Errors
    /// As [`super::Client::send`]; mostly that the engine closed the connection without an answer.
    pub async fn answer(mut self) -> Result<Response<UpstreamBody>, ClientError> {
        let head = self.conn.response().await?;
        let Self { conn, host, exchange } = self;
        Ok(head.map(|()| UpstreamBody::inline(conn, host, exchange)))
    }
}

/// Ends an exchange that nobody waits for any more. One whose request was sent only in part has no answer.
pub(super) fn leave(
    mut conn: Box<h1::Conn>,
    host: &Arc<Host>,
    exchange: Exchange,
    on_abandoned: Option<OnAbandoned<'_>>,
) {
    if let Some(on_abandoned) = on_abandoned.filter(|_| conn.is_sent()) {
        conn.hang_up();
        on_abandoned(Abandoned { conn, host: Arc::clone(host), exchange });
    }
}
