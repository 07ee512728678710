//! Instances that are kept for one kind of work, where all may do both.
//!
//! Who is kept follows from the snapshot alone: for prefill the first prefill instance that takes requests, for decode the last
//! decode instance, or the first and the last at all. So it is the same in every decision and every replica, and when one of
//! them goes, stops taking requests or is not heard of any more, another is kept from that moment on.

use cluster::api::InferType;

use super::{Ask, Filter, Weighing};
use crate::view::{ClusterView, Instance};

/// Who is kept, as places in the snapshot. Nobody, where there are not two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reserved {
    prefill: Option<usize>,
    decode: Option<usize>,
}

impl Reserved {
    /// Looks at all that could be chosen of the types in `accepts`.
    pub(super) fn look(
        view: &ClusterView,
        (accepts, filters): (&[InferType], &[Filter]),
        ask: &Ask<'_>,
        weighing: &Weighing<'_>,
    ) -> Self {
        let is_fit = |instance: &Instance| {
            let mut asked = filters.iter().filter(|filter| filter.needs_failover());
            accepts.contains(&instance.infer_type)
                && instance.serves(ask.model)
                && asked.all(|filter| filter.rejects(instance, weighing, false).is_none())
        };
        let fit = || view.instances.iter().enumerate().filter(|(_, instance)| is_fit(instance));
        let of_type = |wanted| move |&(_, instance): &(usize, &Instance)| instance.infer_type == wanted;
        let prefill = fit().find(of_type(InferType::Prefill)).or_else(|| fit().next());
        let decode = fit().rfind(of_type(InferType::Decode)).or_else(|| fit().next_back());
        match (prefill, decode) {
            (Some((prefill, _)), Some((decode, _))) if prefill != decode => {
                Self { prefill: Some(prefill), decode: Some(decode) }
            }
            _ => Self::default(),
        }
    }

    /// Who is kept for this.
    pub(super) fn of(self, work: InferType) -> Option<usize> {
        match work {
            InferType::Prefill => self.prefill,
            InferType::Decode => self.decode,
            InferType::Neutral => None,
        }
    }
}
