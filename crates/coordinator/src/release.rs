//! Nobody else frees what a prefill holds.
//!
//! A prefill instance keeps its blocks until a decoder has pulled them. When the client leaves after the prefill and before
//! the decoder knows of the request, they would stay for the engine's abort time-out (480 s in vLLM), and a few hundred
//! such clients fill its cache. So the decode leg is sent all the same, for one token, and its answer is dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use pd::{Handover, Protocol};
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use proxy::{Client, Drain, Target};
use telemetry::clock::{self, Moment};

use crate::asked::Asked;
use crate::failure::Failure;

/// A decoder on this host that was given a request this long ago has read it, and frees the blocks by itself when the
/// connection closes (tried with vLLM 0.32). Within it, one fetch too many is better than blocks that stay.
const READ: Duration = Duration::from_secs(1);
/// A release that takes longer is given up; the engine's own time-out remains.
const PATIENCE: Duration = Duration::from_secs(60);

/// A decode engine, as legs are sent to it.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// How it is reached.
    pub client: Client,
    /// Where it is.
    pub target: Target,
    /// Who waits at shutdown for legs that outlive their client.
    pub drain: Drain,
}

impl Decoder {
    /// Sends it a leg and waits for the head of its answer.
    pub(crate) async fn ask(
        &self,
        asked: &Asked,
        body: Bytes,
        finish_head: impl FnMut(&mut HeaderMap, Moment),
    ) -> Result<Response<UpstreamBody>, Failure> {
        let sent = self.client.send_with(&self.target, asked.leg(body), finish_head).await;
        sent.map_err(|error| Failure::decoder(&error))
    }
}

/// Releases a prefill's blocks when it is dropped before [`Release::disarm`].
pub(crate) struct Release {
    armed: Option<Armed>,
    sent: Option<Moment>,
}

struct Armed {
    decoder: Decoder,
    protocol: Protocol,
    asked: Arc<Asked>,
    handover: Handover,
}

impl Release {
    pub(crate) fn new(decoder: Decoder, protocol: Protocol, asked: Arc<Asked>, handover: Handover) -> Self {
        Self { armed: Some(Armed { decoder, protocol, asked, handover }), sent: None }
    }

    /// The decode leg has been handed to the connection of `decoder`, which may be another than was thought.
    pub(crate) fn sent(&mut self, at: Moment, decoder: &Decoder) {
        self.sent = Some(at);
        if let Some(armed) = &mut self.armed {
            armed.decoder.clone_from(decoder);
        }
    }

    /// Nothing is left to do: a decoder has answered, or has the blocks for whatever else.
    pub(crate) fn disarm(&mut self) {
        self.armed = None;
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let read = self.sent.is_some_and(|sent| clock::now() - sent > READ);
        if let Some(armed) = self.armed.take().filter(|_| !read) {
            armed.spawn();
        }
    }
}

impl Armed {
    fn spawn(self) {
        let Some(body) = release_body(self.protocol, &self.asked, &self.handover) else { return };
        let Decoder { client, target, drain } = self.decoder;
        let leg = self.asked.leg(body);
        let exchange = async move {
            let response = client.send(&target, leg).await?;
            let status = response.status();
            let mut stream = response.into_body();
            while let Some(frame) = next_frame(&mut stream).await {
                frame?;
            }
            Ok::<_, proxy::ClientError>(status)
        };
        drain.spawn(async move {
            match tokio::time::timeout(PATIENCE, exchange).await {
                Ok(Ok(status)) => tracing::debug!(%status, "released the blocks of a prefill whose client left"),
                Ok(Err(error)) => tracing::warn!(%error, "could not release the blocks of a prefill whose client left"),
                Err(_) => tracing::warn!("gave up releasing the blocks of a prefill whose client left"),
            }
        });
    }
}

fn release_body(protocol: Protocol, asked: &Asked, handover: &Handover) -> Option<Bytes> {
    protocol.serial(asked.api, &asked.body)?.release(handover)
}
