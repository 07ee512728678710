//! The client's record of a request beside the spans of its trace.

use crate::published::span;
use crate::record::Record;
use crate::spans::{Span, Spans};

/// One request from both sides.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub(super) record: &'a Record,
    pub(super) gateway: Option<&'a Span>,
    /// The coordinator's span of the whole request.
    pub(super) request: Option<&'a Span>,
    /// The coordinator's span of the decode stage.
    pub(super) decode: Option<&'a Span>,
    pub(super) engines: Vec<&'a Span>,
}

impl<'a> Joined<'a> {
    pub(super) fn all(records: &'a [Record], spans: &'a Spans) -> Vec<Self> {
        records.iter().map(|record| Self::of(record, spans)).collect()
    }

    fn of(record: &'a Record, spans: &'a Spans) -> Self {
        let trace = spans.of_trace(&record.trace_id);
        let named = |name: &str| trace.iter().find(|found| found.name == name);
        Self {
            record,
            gateway: named(span::GATEWAY),
            request: named(span::REQUEST),
            decode: named(span::DECODE),
            engines: trace.iter().filter(|found| found.name == span::ENGINE).collect(),
        }
    }
}
