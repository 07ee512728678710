//! The settings of traffic management.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::read::Reader;
use crate::mirror::{MirrorConfig, Settings, SettingsError};
use crate::reload;
use crate::traffic::{BacklogConfig, Routes, TrafficConfig};

/// Reads them all.
pub(super) fn read(read: &mut Reader<'_>) -> TrafficConfig {
    TrafficConfig { routes: routes(read), backlog: backlog(read) }
}

/// Where copies of requests go. The file must be right at the start; later a wrong one changes nothing.
pub(super) fn mirror(read: &mut Reader<'_>) -> Option<MirrorConfig> {
    read.loaded("mirror-config", |path| {
        let path = PathBuf::from(path);
        let parse = |text: &str| Settings::parse(text.as_bytes()).map_err(|error: SettingsError| error.to_string());
        let (text, first) = reload::read(&path, parse)?;
        Ok(MirrorConfig { path, text, first: Arc::new(first) })
    })
}

fn routes(read: &mut Reader<'_>) -> Option<Routes> {
    let (policy, config) = (read.text("route-policy"), read.text("route-config"));
    match (policy, config) {
        (None, None) => None,
        (Some(_), None) => {
            read.fault("route-policy", "needs --route-config beside it");
            None
        }
        (None, Some(_)) => {
            read.fault("route-config", "needs --route-policy beside it");
            None
        }
        (Some(policy), Some(config)) => match Routes::parse(policy, config) {
            Ok(routes) => Some(routes),
            Err(problems) => {
                for problem in problems {
                    let flag = if problem.is_policy() { "route-policy" } else { "route-config" };
                    read.fault(flag, problem.to_string());
                }
                None
            }
        },
    }
}

/// `--fallback-retry-max-count` has Llumnix's meanings: -1 is without end, 0 is never.
fn backlog(read: &mut Reader<'_>) -> Option<BacklogConfig> {
    let enabled = read.boolean("fallback-retry-queue-enabled");
    let attempts = read.number::<i64>("fallback-retry-max-count", -1..=1_000_000);
    let config = BacklogConfig {
        size: read.number("fallback-retry-queue-size", 1..=1_000_000),
        workers: read.number("fallback-retry-worker-size", 1..=100_000),
        attempts: u32::try_from(attempts).ok(),
        first_wait: Duration::from_millis(read.number("fallback-retry-init-delay-ms", 0..=3_600_000)),
        longest_wait: Duration::from_millis(read.number("fallback-retry-max-delay-ms", 0..=3_600_000)),
    };
    if config.longest_wait < config.first_wait {
        read.fault("fallback-retry-max-delay-ms", "must not be below --fallback-retry-init-delay-ms");
    }
    (enabled && attempts != 0).then_some(config)
}
