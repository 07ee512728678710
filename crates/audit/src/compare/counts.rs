//! Counters against the client's own counts. These must be equal: a request is counted once, as what it was.

use std::collections::BTreeMap;

use super::join::Joined;
use crate::published::metric;
use crate::record::{End, LoadReport, Record};
use crate::scrape::Delta;
use crate::verdict::{Holds, NumberCheck};

/// What a component's counter must say if it counted as the client did.
pub(super) fn check(load: &LoadReport, delta: &Delta) -> Vec<NumberCheck> {
    let mut checks = by_status(load, delta);
    checks.extend(by_outcome(load, delta, metric::GATEWAY_OUTCOMES));
    checks.extend(by_outcome(load, delta, metric::COORDINATOR_REQUESTS));
    checks
}

/// Two counts that must be equal.
fn equal(name: String, client: u64, reported: Option<f64>) -> NumberCheck {
    let client = client as f64;
    let holds = match reported {
        None => Holds::Unchecked("the metric is not exposed".to_owned()),
        Some(reported) if reported == client => Holds::Yes,
        Some(reported) => Holds::No(format!("the client counted {client}, reported are {reported}")),
    };
    NumberCheck { name, expected: client, reported: reported.unwrap_or(0.0), tolerance: 0.0, unit: "", holds }
}

/// `request_total` by status: every status that the client or the gateway knows of.
fn by_status(load: &LoadReport, delta: &Delta) -> Vec<NumberCheck> {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for record in &load.records {
        if let Some(status) = gateway_status(record) {
            *counted.entry(status).or_default() += 1;
        }
    }
    for status in delta.values_of(metric::REQUESTS, metric::STATUS) {
        counted.entry(status).or_default();
    }
    let check = |(status, client): (String, u64)| {
        let reported = delta.counter(metric::REQUESTS, &[(metric::STATUS, &status)]);
        equal(format!("{}{{{status}}}", metric::REQUESTS), client, reported)
    };
    counted.into_iter().map(check).collect()
}

/// The status under which the gateway must have counted a request. A client that left got none or never saw the end of
/// its 200; both are counted as 499, "client closed request". A request that reached nobody is counted by nobody.
fn gateway_status(record: &Record) -> Option<String> {
    match (&record.end, record.status) {
        (End::Cancelled, _) => Some(metric::STATUS_CLIENT_LEFT.to_owned()),
        (_, status) => status.map(|status| status.to_string()),
    }
}

/// A counter by outcome, summed over its other labels.
fn by_outcome(load: &LoadReport, delta: &Delta, name: &'static str) -> Vec<NumberCheck> {
    let count = |wanted: fn(&Record) -> bool| load.records.iter().filter(|r| wanted(r)).count() as u64;
    let outcomes = [
        ("completed", count(|r| r.end == End::Completed)),
        ("cancelled", count(|r| r.end == End::Cancelled)),
        ("failed", count(|r| r.failed() && r.status.is_some())),
    ];
    let check = |(outcome, client)| {
        let reported = delta.counter(name, &[(metric::OUTCOME, outcome)]);
        equal(format!("{name}{{{outcome}}}"), client, reported)
    };
    outcomes.into_iter().map(check).collect()
}

/// Every request that was answered must have left a span of each component.
pub(super) fn spans(joined: &[Joined<'_>]) -> Vec<NumberCheck> {
    let answered = joined.iter().filter(|j| j.record.status.is_some());
    let expected = answered.clone().count() as u64;
    let found = |of: fn(&Joined<'_>) -> bool| Some(answered.clone().filter(|j| of(j)).count() as f64);
    vec![
        equal("gateway spans of answered requests".to_owned(), expected, found(|j| j.gateway.is_some())),
        equal("coordinator spans of answered requests".to_owned(), expected, found(|j| j.request.is_some())),
    ]
}
