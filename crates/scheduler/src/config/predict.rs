//! How predictions are made, and whether.

use std::sync::Arc;

use super::read::Reader;
use crate::policy::{Mode, Policy};
use crate::predict::{Decodes, PredictorConfig, Prefills, ProfileFault};

/// The predictor, where something needs one.
pub(super) fn predictor(read: &mut Reader<'_>, mode: Mode, policy: Option<&Policy>) -> Option<PredictorConfig> {
    let is_enabled = read.boolean("enable-predictor-enhanced-scheduling");
    let warmup = read.number("num-predictor-warmup-samples", 1..=u32::MAX);
    let prefills = profile(read, "ttft-profiling-data-path", Prefills::parse);
    let decodes = profile(read, "tpot-profiling-data-path", Decodes::parse);
    if is_enabled && mode == Mode::Lite {
        let problem = "needs full mode: in lite mode instances do not say what their steps take";
        read.fault("enable-predictor-enhanced-scheduling", problem);
    }
    let is_wanted = is_enabled || prefills.is_some() || decodes.is_some() || policy.is_some_and(Policy::predicts);
    is_wanted.then_some(PredictorConfig { warmup, prefills, decodes })
}

fn profile<T>(
    read: &mut Reader<'_>,
    flag: &'static str,
    parse: impl Fn(&[u8]) -> Result<T, ProfileFault>,
) -> Option<Arc<T>> {
    let path = read.args().text(flag)?;
    let parsed = std::fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|json| parse(&json).map_err(|fault| fault.to_string()));
    parsed.map(Arc::new).map_err(|problem| read.fault(flag, format!("{path}: {problem}"))).ok()
}
