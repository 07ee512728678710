//! `/metrics`: every instance as it is at that moment.

use std::sync::Arc;

use cluster::api::InferType;
use http::{HeaderValue, Response, StatusCode};
use proxy::Body;
use telemetry::clock::{self, Moment};
use telemetry::scheduler::{Cms, Imbalance, Lrs, Reading};

use crate::account::Inflight;
use crate::answer;
use crate::policy::{Metric, Mode, Weighing};
use crate::state::State;
use crate::view::{ClusterView, Instance};

/// The answer to a scrape, in the format that the scraper accepts. A thousand instances take milliseconds to write; a thread
/// of its own does it, and decisions do not wait.
pub(crate) async fn scrape(state: &Arc<State>, accept: Option<&HeaderValue>) -> Response<Body> {
    let (state, accept) = (Arc::clone(state), accept.cloned());
    match tokio::task::spawn_blocking(move || page(&state, accept.as_ref())).await {
        Ok(page) => page,
        Err(error) => answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("the scheduler is stopping: {error}")),
    }
}

fn page(state: &State, accept: Option<&HeaderValue>) -> Response<Body> {
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let view = state.view.load_full();
    let mode = state.policy.mode();
    let (kind, body) = state.recorder.scrape(accept, || {
        let now = clock::now();
        let readings = view.instances.iter().map(|instance| reading(instance, mode, now)).collect();
        let weighing = Weighing { mode, wanted: InferType::Neutral, prompt_tokens: 0, hits: None, now };
        (readings, imbalances(&view, &weighing))
    });
    answer::with_type(StatusCode::OK, kind, body.into())
}

fn reading(instance: &Instance, mode: Mode, now: Moment) -> Reading<'_> {
    let full = mode == Mode::Full;
    Reading {
        instance: &instance.id,
        infer_type: instance.infer_type.as_str(),
        model: &instance.model,
        cms: full.then(|| cms(instance, &instance.seat.account.exact(), now)),
        lrs: (!full).then(|| {
            let sums = instance.seat.tally.exact();
            Lrs {
                running_requests: sums.running_requests,
                waiting_requests: sums.waiting_requests,
                running_tokens: sums.running_tokens,
                waiting_tokens: sums.waiting_tokens,
            }
        }),
    }
}

/// An instance's own numbers, with what is in flight to it.
pub(crate) fn cms(instance: &Instance, inflight: &Inflight, now: Moment) -> Cms {
    let load = &instance.load;
    Cms {
        used_gpu_tokens: load.used_gpu_tokens,
        waiting_requests: load.waiting_requests,
        loading_requests: load.loading_requests,
        running_requests: load.running_requests,
        scheduler_waiting_to_decode_requests: load.scheduler_waiting_to_decode_requests,
        scheduler_running_to_decode_requests: load.scheduler_running_to_decode_requests,
        hybrid_scheduler_waiting_to_decode_requests: load.hybrid_waiting_to_decode_requests,
        uncomputed_tokens_all_waiting_prefills: load.uncomputed_all_waiting_prefills,
        uncomputed_tokens_scheduler_running_prefills: load.uncomputed_running_prefills,
        unallocated_tokens_scheduler_running_prefills: load.unallocated_running_prefills,
        unallocated_tokens_hybrid_scheduler_waiting_decodes: load.unallocated_hybrid_waiting_decodes,
        hybrid_scheduler_waiting_to_decode_tokens: load.hybrid_waiting_to_decode_tokens,
        scheduler_waiting_to_decode_tokens: load.scheduler_waiting_to_decode_tokens,
        scheduler_running_to_decode_tokens: load.scheduler_running_to_decode_tokens,
        tokens_loading_requests: load.loading_tokens,
        inflight_dispatch_requests: inflight.requests,
        inflight_dispatch_prefill_requests: inflight.prefill_requests,
        inflight_dispatch_decode_requests: inflight.decode_requests,
        uncomputed_tokens_inflight_dispatch_prefill_requests: inflight.prefill_tokens,
        tokens_inflight_dispatch_decode_requests: inflight.decode_tokens,
        kv_cache_usage_ratio_projected: load.kv_usage_projected(inflight),
        decode_batch_size: load.decode_batch_size(inflight),
        all_prefills_tokens_num: load.all_prefills_tokens(inflight),
        all_decodes_tokens_num: load.all_decodes_tokens(inflight),
        schedulable: instance.schedulable,
        status_age_seconds: instance.age(now).as_secs_f64(),
        kv_tokens_total: load.total_gpu_tokens,
    }
}

/// How unevenly the instances of each type are loaded.
fn imbalances(view: &ClusterView, weighing: &Weighing<'_>) -> Vec<Imbalance> {
    let metrics: &[Metric] = match weighing.mode {
        Mode::Full => &[Metric::NumRequests, Metric::AllPrefillsTokensNum, Metric::AllDecodesTokensNum],
        Mode::Lite => &[Metric::NumRequests, Metric::NumTokens],
    };
    let mut imbalances = Vec::new();
    for infer_type in InferType::ALL {
        for &metric in metrics {
            let of_type = view.instances.iter().filter(|instance| instance.infer_type == infer_type);
            let values = of_type.map(|instance| metric.of(instance, weighing));
            let (most, sum, count) = values
                .fold((0.0_f64, 0.0, 0.0), |(most, sum, count), value| (most.max(value), sum + value, count + 1.0));
            if sum > 0.0 {
                let ratio = most * count / sum;
                imbalances.push(Imbalance { infer_type: infer_type.as_str(), metric: metric.as_str(), ratio });
            }
        }
    }
    imbalances
}
