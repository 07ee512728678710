//! A prefill whose client left while its answer was on the way.
//!
//! The client's leaving cancels the prefill, and an engine frees the blocks of a request that it cancels. One that was
//! done by then keeps them for a decoder, and which ones they are only its answer says. So the answer is still taken if it
//! is there, and the blocks are freed as those of any prefill whose client left.

use std::sync::Arc;
use std::time::Duration;

use pd::{Peer, Protocol};
use proxy::body::collect;
use proxy::client::{Abandoned, UpstreamBody};

use crate::asked::Asked;
use crate::release::{Decoder, Release};

/// An answer that has not come this long after the client left was not on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What it takes to free the blocks of a prefill. Nothing of it is copied unless a client leaves.
#[derive(Clone, Copy)]
pub(crate) struct Late<'a> {
    /// Who frees them.
    pub(crate) decoder: &'a Decoder,
    pub(crate) protocol: Protocol,
    pub(crate) asked: &'a Arc<Asked>,
    /// The longest answer that is read.
    pub(crate) max_body: usize,
}

impl Late<'_> {
    /// Waits for the answer of `peer`, should it be on its way.
    pub(crate) fn wait(self, abandoned: Abandoned, peer: &Peer) {
        self.take(peer, async {
            let answer = abandoned.answer().await.ok()?;
            answer.status().is_success().then(|| answer.into_body())
        });
    }

    /// Reads the rest of an answer of `peer` whose head was there when the client left.
    pub(crate) fn finish(self, body: UpstreamBody, peer: &Peer) {
        self.take(peer, std::future::ready(Some(body)));
    }

    fn take(self, peer: &Peer, body: impl Future<Output = Option<UpstreamBody>> + Send + 'static) {
        let Self { protocol, max_body, .. } = self;
        let (decoder, asked, peer) = (self.decoder.clone(), Arc::clone(self.asked), peer.clone());
        let answer = async move { collect(body.await?, max_body).await.ok() };
        self.decoder.drain.spawn(async move {
            let Ok(Some(answer)) = tokio::time::timeout(ON_ITS_WAY, answer).await else { return };
            let plan = protocol.serial(asked.api, &asked.body);
            if let Some(handover) = plan.and_then(|plan| plan.handover(answer, &peer).ok()) {
                drop(Release::new(decoder, protocol, asked, handover));
            }
        });
    }
}
