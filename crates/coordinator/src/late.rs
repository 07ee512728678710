//! A prefill whose client left while its answer was on the way.
//!
//! The client's leaving cancels the prefill, and an engine frees the blocks of a request that it cancels. One that was
//! done by then keeps them for a decoder, and which ones they are only its answer says. So the answer is still taken if it
//! is there, and the blocks are freed as those of any prefill whose client left.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pd::{Peer, Protocol};
use proxy::body::collect;
use proxy::client::{Abandoned, OnAbandoned, UpstreamBody};

use crate::asked::Asked;
use crate::release::{Decoder, Release};

/// An answer that has not come this long after the client left was not on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What it takes to free the blocks of a prefill.
#[derive(Clone)]
pub(crate) struct Late {
    /// Who frees them.
    pub(crate) decoder: Decoder,
    pub(crate) protocol: Protocol,
    pub(crate) asked: Arc<Asked>,
    /// The longest answer that is read.
    pub(crate) max_body: usize,
}

impl Late {
    /// What to do with a leg to `peer` that its client leaves.
    pub(crate) fn on_abandoned(&self, peer: &Peer) -> OnAbandoned {
        let (late, peer) = (self.clone(), peer.clone());
        Box::new(move |abandoned| {
            let drain = late.decoder.drain.clone();
            drain.spawn(async move {
                if let Ok(Some(answer)) = tokio::time::timeout(ON_ITS_WAY, late.answer(abandoned)).await {
                    late.release(answer, &peer);
                }
            });
        })
    }

    /// Reads the rest of an answer whose head was there when the client left.
    pub(crate) fn finish(self, body: UpstreamBody, peer: Peer) {
        let drain = self.decoder.drain.clone();
        drain.spawn(async move {
            if let Ok(Ok(answer)) = tokio::time::timeout(ON_ITS_WAY, collect(body, self.max_body)).await {
                self.release(answer, &peer);
            }
        });
    }

    async fn answer(&self, abandoned: Abandoned) -> Option<Bytes> {
        let answer = abandoned.answer().await.ok().filter(|answer| answer.status().is_success())?;
        collect(answer.into_body(), self.max_body).await.ok()
    }

    fn release(&self, answer: Bytes, peer: &Peer) {
        let plan = self.protocol.serial(self.asked.api, &self.asked.body);
        let Some(Ok(handover)) = plan.map(|plan| plan.handover(answer, peer)) else { return };
        drop(Release::new(self.decoder.clone(), self.protocol, Arc::clone(&self.asked), handover));
    }
}
