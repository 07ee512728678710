//! The samplers that OpenTelemetry names.

use crate::trace::{TraceContext, TraceId};

/// Decides at a request's start whether its spans are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Follow the sampled flag of a parent where there is one.
    pub parent_based: bool,
    /// The share of traces without a parent (or of all, where not parent based), 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`.
    fn default() -> Self {
        Self { parent_based: true, ratio: 1.0 }
    }
}

impl Sampler {
    /// Whether to record. The ratio is compared with the trace id's low bits, as other SDKs do, so that all processes of a
    /// trace with the same ratio decide alike.
    pub fn samples(&self, parent: Option<&TraceContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.is_sampled(),
            _ if self.ratio >= 1.0 => true,
            _ => (trace_id.ratio_bits() as f64) < self.ratio * (1_u64 << 63) as f64,
        }
    }
}
