//! What every process tells about itself: uptime, build, CPU, memory, file descriptors, runtime.

mod linux;
mod runtime;

use crate::catalogue::process as catalogue;
use crate::clock;
use crate::config::TelemetryConfig;
use crate::metrics::Registry;
pub(crate) use runtime::watch_loop_lag;

/// Registers the readings.
pub(crate) fn register(registry: &Registry, config: &TelemetryConfig) {
    let start = clock::now();
    registry.read(&catalogue::UPTIME, [], move || Some((clock::now() - start).as_secs_f64()));
    registry.gauge(&catalogue::BUILD_INFO).with([&config.version, &config.service_name]).set(1.0);
    linux::register(registry);
    runtime::register(registry);
    let told = config.allocated_bytes;
    let allocated = move || told.and_then(|read| read()).map(|bytes| bytes as f64).or_else(linux::anonymous_bytes);
    registry.read(&catalogue::ALLOCATED_BYTES, [], allocated);
    registry.read(&catalogue::GO_ALLOC_BYTES, [], allocated);
}

#[cfg(test)]
mod tests;
