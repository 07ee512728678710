//! `/targets`: what is scraped, and how it is.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::answer::Answer;
use crate::metrics::scrape::{Health, ScrapeTarget, Timing};
use crate::state::State;

/// `/targets`.
pub(super) fn targets(state: &State) -> Answer {
    let timing = state.targets.timing();
    let active: Vec<Value> =
        state.targets.health().iter().map(|(target, health)| active(target, health, timing)).collect();
    Answer::of(json!({"activeTargets": active, "droppedTargets": []}))
}

fn active(target: &ScrapeTarget, health: &Health, timing: Timing) -> Value {
    let (at, took) = health.last.unwrap_or((0, Duration::ZERO));
    let state = match (&health.last, &health.error) {
        (None, _) => "unknown",
        (Some(_), None) => "up",
        (Some(_), Some(_)) => "down",
    };
    let scraped = UNIX_EPOCH + Duration::from_millis(at.unsigned_abs());
    json!({
        "discoveredLabels": target.labels(),
        "labels": target.labels(),
        "scrapePool": target.labels().get("job"),
        "scrapeUrl": target.url(),
        "globalUrl": target.url(),
        "lastError": health.error.as_deref().unwrap_or_default(),
        "lastScrape": humantime::format_rfc3339_millis(scraped).to_string(),
        "lastScrapeDuration": took.as_secs_f64(),
        "health": state,
        "scrapeInterval": humantime::format_duration(timing.interval).to_string(),
        "scrapeTimeout": humantime::format_duration(timing.timeout).to_string(),
    })
}
