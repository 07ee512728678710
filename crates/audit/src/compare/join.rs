//! The client's record of a request beside the spans of its trace.

use crate::published::{attribute, metric, span};
use crate::record::{End, Record};
use crate::spans::{Span, Spans};

/// One request from both sides.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub(super) record: &'a Record,
    pub(super) gateway: Option<&'a Span>,
    /// The coordinators' spans of the whole request, one for each attempt that reached one.
    pub(super) requests: Vec<&'a Span>,
    /// The coordinator's span of the decode stage.
    pub(super) decode: Option<&'a Span>,
    pub(super) engines: Vec<&'a Span>,
    /// How late a component may find out that the client has left.
    late_ns: u64,
}

impl<'a> Joined<'a> {
    pub(super) fn all(records: &'a [Record], spans: &'a Spans, late_ns: u64) -> Vec<Self> {
        records.iter().map(|record| Self::of(record, spans, late_ns)).collect()
    }

    fn of(record: &'a Record, spans: &'a Spans, late_ns: u64) -> Self {
        let trace = spans.of_trace(&record.trace_id);
        let named = |name: &str| trace.iter().find(|found| found.name == name);
        Self {
            record,
            gateway: named(span::GATEWAY),
            requests: trace.iter().filter(|found| found.name == span::REQUEST).collect(),
            decode: decode(trace),
            engines: trace.iter().filter(|found| found.name == span::ENGINE).collect(),
            late_ns,
        }
    }

    /// How the gateway says that the request ended, where it was done with it before it could know that the client had left:
    /// the client knows nothing of an answer that was on its way.
    pub(super) fn crossed(&self) -> Option<&'a Span> {
        self.gateway.filter(|span| self.done_before(span, attribute::GATEWAY_OUTCOME))
    }

    /// Whether the client left so soon that the gateway need not have seen its request, and no trace of it is there.
    pub(super) fn unseen(&self) -> bool {
        let left = self.record.end == End::Cancelled && self.record.status.is_none();
        left && self.gateway.is_none() && self.requests.is_empty() && self.record.end_ns <= self.late_ns
    }

    /// Whether the client left, but a component says that it was done by itself before it could know.
    fn done_before(&self, span: &Span, outcome: &str) -> bool {
        let by_itself = span.text(outcome).is_some_and(|said| said != metric::CANCELLED);
        let in_time = span.duration_ns <= self.record.end_ns.saturating_add(self.late_ns);
        by_itself && self.record.end == End::Cancelled && in_time
    }

    /// How the request must have ended for the coordinators that it reached, an outcome for each. Attempts that were followed
    /// by another one have failed. The last one ended as the client saw it, unless it never reached a coordinator: the
    /// client had left, or nobody was found to place it on.
    pub(super) fn coordinated(&self) -> Vec<&'static str> {
        let mut outcomes = vec![metric::FAILED; self.requests.len()];
        if self.requests.len() > self.answered_retries()
            && let Some(last) = outcomes.last_mut()
        {
            *last = match self.record.end {
                End::Completed => metric::COMPLETED,
                End::Cancelled => self.left_behind(),
                End::Refused | End::Broken { .. } | End::Unanswered { .. } => metric::FAILED,
            };
        }
        outcomes
    }

    /// How the attempt ended whose client left: cancelled, unless every coordinator was done before.
    fn left_behind(&self) -> &'static str {
        let done = |span: &&&Span| self.done_before(span, attribute::COORDINATOR_OUTCOME);
        let all_done = self.requests.iter().filter(done).count() == self.requests.len();
        let completed = |span: &&Span| span.text(attribute::COORDINATOR_OUTCOME) == Some(metric::COMPLETED);
        match all_done {
            true if self.requests.iter().any(completed) => metric::COMPLETED,
            true => metric::FAILED,
            false => metric::CANCELLED,
        }
    }

    /// Attempts that were answered and followed by another one.
    fn answered_retries(&self) -> usize {
        let events = self.gateway.map_or(&[][..], |span| &span.events);
        let answered = |name: &String| name == attribute::STATUS_CODE;
        events
            .iter()
            .filter(|event| event.name == attribute::GATEWAY_RETRY && event.attributes.iter().any(answered))
            .count()
    }

    /// Whether a coordinator must have had the request, or cannot have had it; `None` where nobody can know: the client left
    /// while it was being handed over.
    pub(super) fn coordinator_had_it(&self) -> Option<bool> {
        let stage = self.gateway.and_then(|span| span.text(attribute::GATEWAY_STAGE));
        match (stage, self.record.status) {
            (Some("receive" | "queue" | "schedule"), _) => (self.answered_retries() == 0).then_some(false),
            (Some("relay"), _) | (_, Some(_)) => Some(true),
            (_, None) => None,
        }
    }
}

/// The decode span of a request: of several attempts, that of the one that completed.
fn decode(trace: &[Span]) -> Option<&Span> {
    let decodes = || trace.iter().filter(|found| found.name == span::DECODE);
    let completed = |span: &&Span| span.text(attribute::COORDINATOR_OUTCOME) == Some(metric::COMPLETED);
    decodes().find(completed).or_else(|| decodes().next())
}
