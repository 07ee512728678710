//! Counters against the client's own counts. These must be equal: a request is counted once, as what it was.

use std::collections::BTreeMap;

use super::join::Joined;
use crate::published::{attribute, metric};
use crate::record::{End, LoadReport, Record};
use crate::scrape::Delta;
use crate::spans::Span;
use crate::verdict::{Holds, NumberCheck};

/// What a component's counter must say if it counted as the client did.
pub(super) fn check(
    load: &LoadReport,
    joined: Option<&[Joined<'_>]>,
    delta: &Delta,
    coordinated: bool,
) -> Vec<NumberCheck> {
    let requests = Requests { load, joined };
    let mut checks = by_status(&requests, delta);
    checks.extend(by_outcome(&requests.gateway_outcomes(), delta, metric::GATEWAY_OUTCOMES));
    checks.extend(by_reason(&requests, delta));
    checks.push(unplaced(&requests, delta));
    if coordinated {
        checks.extend(by_outcome(&requests.coordinator_outcomes(), delta, metric::COORDINATOR_REQUESTS));
    }
    checks
}

/// A run's requests, with their spans where those can be read.
struct Requests<'a> {
    load: &'a LoadReport,
    joined: Option<&'a [Joined<'a>]>,
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

impl<'a> Requests<'a> {
    /// Each that the gateway must have seen, with the gateway's span where it was done before it could know that its client
    /// had left.
    fn each(&self) -> Vec<(&'a Record, Option<&'a Span>)> {
        match self.joined {
            Some(joined) => {
                let seen = joined.iter().filter(|joined| !joined.unseen());
                seen.map(|joined| (joined.record, joined.crossed())).collect()
            }
            None => self.load.records.iter().map(|record| (record, None)).collect(),
        }
    }

    fn gateway_outcomes(&self) -> Vec<String> {
        let outcome = |(record, crossed): (&Record, Option<&Span>)| match crossed {
            Some(span) => span.text(attribute::GATEWAY_OUTCOME).map(str::to_owned),
            None => client_outcome(record).map(str::to_owned),
        };
        self.each().into_iter().filter_map(outcome).collect()
    }

    /// A request that the gateway turned away, or whose client left too early, has reached no coordinator; one that was tried
    /// again may have reached two. Which did, only the spans tell.
    fn coordinator_outcomes(&self) -> Vec<String> {
        match self.joined {
            Some(joined) => joined.iter().flat_map(Joined::coordinated).map(str::to_owned).collect(),
            None => self.load.records.iter().filter_map(client_outcome).map(str::to_owned).collect(),
        }
    }
}

/// How a request ended in the client's eyes, as components call it. One that reached nobody is counted by nobody.
fn client_outcome(record: &Record) -> Option<&'static str> {
    match (&record.end, record.status) {
        (End::Completed, _) => Some(metric::COMPLETED),
        (End::Cancelled, _) => Some(metric::CANCELLED),
        (_, status) => status.map(|_| metric::FAILED),
    }
}

/// `request_total` by status: every status that the client or the gateway knows of.
fn by_status(requests: &Requests<'_>, delta: &Delta) -> Vec<NumberCheck> {
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for status in requests.each().into_iter().filter_map(gateway_status) {
        *counted.entry(status).or_default() += 1;
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
fn gateway_status((record, crossed): (&Record, Option<&Span>)) -> Option<String> {
    match (&record.end, crossed) {
        (End::Cancelled, Some(span)) => span.number(attribute::STATUS_CODE).map(|status| status.to_string()),
        (End::Cancelled, None) => Some(metric::STATUS_CLIENT_LEFT.to_owned()),
        _ => record.status.map(|status| status.to_string()),
    }
}

/// A counter by outcome, summed over its other labels.
fn by_outcome(outcomes: &[String], delta: &Delta, name: &'static str) -> Vec<NumberCheck> {
    let check = |outcome: &str| {
        let client = outcomes.iter().filter(|known| *known == outcome).count() as u64;
        equal(format!("{name}{{{outcome}}}"), client, delta.counter(name, &[(metric::OUTCOME, outcome)]))
    };
    [metric::COMPLETED, metric::CANCELLED, metric::FAILED].map(check).to_vec()
}

/// Requests that were turned away, by the codes that their clients got.
fn by_reason(requests: &Requests<'_>, delta: &Delta) -> Vec<NumberCheck> {
    let reasons: Vec<String> = requests.each().into_iter().filter_map(reason).collect();
    let check = |reason: &str| {
        let client = reasons.iter().filter(|known| *known == reason).count() as u64;
        // A reason that has not come up yet is not exposed.
        let reported =
            delta.counter(metric::REJECTED, &[(metric::REASON, reason)]).or_else(|| (client == 0).then_some(0.0));
        equal(format!("{}{{{reason}}}", metric::REJECTED), client, reported)
    };
    [metric::QUEUE_FULL, metric::QUEUE_TIMEOUT].map(check).to_vec()
}

/// Requests that the gateway found no instance for, by the codes that their clients got.
fn unplaced(requests: &Requests<'_>, delta: &Delta) -> NumberCheck {
    let failed = |(record, crossed): &(&Record, Option<&Span>)| match crossed {
        Some(span) => span.text(attribute::GATEWAY_STAGE) == Some(metric::SCHEDULE),
        None => record.code.as_deref().is_some_and(|code| metric::UNPLACED.contains(&code)),
    };
    let client = requests.each().iter().filter(|request| failed(request)).count() as u64;
    let labels = [(metric::OUTCOME, metric::FAILED), (metric::STAGE, metric::SCHEDULE)];
    let reported = delta.counter(metric::GATEWAY_OUTCOMES, &labels).or_else(|| (client == 0).then_some(0.0));
    equal(format!("{}{{failed, schedule}}", metric::GATEWAY_OUTCOMES), client, reported)
}

fn reason((record, crossed): (&Record, Option<&Span>)) -> Option<String> {
    let Some(span) = crossed else { return record.code.clone() };
    let turned_away = span.text(attribute::GATEWAY_STAGE) == Some("queue");
    let reason =
        if span.number(attribute::STATUS_CODE) == Some(429.0) { metric::QUEUE_FULL } else { metric::QUEUE_TIMEOUT };
    turned_away.then(|| reason.to_owned())
}

/// Every request that was answered must have left a span of the gateway; and of a coordinator, unless it cannot have reached
/// one.
pub(super) fn spans(joined: &[Joined<'_>], coordinated: bool) -> Vec<NumberCheck> {
    let answered = joined.iter().filter(|j| j.record.status.is_some());
    let (expected, found) = (answered.clone().count(), answered.filter(|j| j.gateway.is_some()).count());
    let of = |had: bool| joined.iter().filter(move |j| j.coordinator_had_it() == Some(had));
    let seen = |had: bool| of(had).filter(|j| !j.requests.is_empty()).count();
    let gateway = equal("gateway spans of answered requests".to_owned(), expected as u64, Some(found as f64));
    if !coordinated {
        return vec![gateway];
    }
    vec![
        gateway,
        equal("coordinator spans of requests sent on".to_owned(), of(true).count() as u64, Some(seen(true) as f64)),
        equal("coordinator spans of requests not sent on".to_owned(), 0, Some(seen(false) as f64)),
    ]
}
