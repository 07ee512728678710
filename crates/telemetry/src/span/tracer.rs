//! Starting spans and handing finished ones over.

use std::sync::Arc;

use super::{Sampler, SpanKind, SpanQueue, SpanRecord, Status};
use crate::clock::Moment;
use crate::metrics::Exemplar;
use crate::sampling::{Decider, Strategies};
use crate::trace::{SpanId, TraceContext};

/// Room for the attributes of most spans; the one that carries a request's numbers makes more.
const USUAL_ATTRIBUTES: usize = 16;

/// Starts spans and takes finished ones. Cheap to clone.
#[derive(Clone)]
pub struct Tracer {
    /// `None` where nothing is exported: contexts pass through unchanged then, as through any proxy.
    queue: Option<Arc<SpanQueue>>,
    decider: Decider,
    /// Whether contexts are read and written; where not, they end here, and nothing of ours goes on.
    propagates: bool,
}

/// A span that has begun: its position, and whether it will be recorded.
#[derive(Clone, Debug)]
pub struct Started {
    /// What to send on: this span as the parent.
    pub context: TraceContext,
    /// The parent of this span.
    pub parent: Option<SpanId>,
    recorded: bool,
}

impl Tracer {
    pub(crate) fn new(queue: Option<Arc<SpanQueue>>, sampler: &Sampler) -> Self {
        Self { queue, decider: Decider::new(sampler), propagates: true }
    }

    /// The same with contexts read and written, or neither.
    pub(crate) fn propagating(self, propagates: bool) -> Self {
        Self { propagates, ..self }
    }

    /// The same for spans of this name: samplers may have a strategy of their own for them.
    pub(crate) fn beginning(self, name: &'static str) -> Self {
        Self { decider: self.decider.of(name), ..self }
    }

    /// Where a polled strategy goes; `None` where none is polled, or where nothing is exported anyway.
    pub(crate) fn strategies(&self) -> Option<&Arc<Strategies>> {
        self.queue.as_ref().and_then(|_| self.decider.strategies())
    }

    /// Begins the first span of this process in a trace, continuing `incoming` or starting a new trace.
    pub fn start(&self, incoming: Option<TraceContext>) -> Started {
        let incoming = incoming.filter(|_| self.propagates);
        if self.queue.is_none() {
            let context = incoming.unwrap_or_else(|| TraceContext::root(false)).travelling(self.propagates);
            return Started { context, parent: None, recorded: false };
        }
        let parent = incoming.as_ref().map(|incoming| incoming.span_id);
        let context = incoming.as_ref().map_or_else(|| TraceContext::root(true), TraceContext::child);
        let mut context = context.travelling(self.propagates);
        let recorded = self.decider.samples(incoming.as_ref(), context.trace_id);
        context.flags = context.flags.with_sampled(recorded);
        Started { context, parent, recorded }
    }

    /// Begins a span below `parent` in the same process.
    pub fn child(&self, parent: &Started) -> Started {
        if self.queue.is_none() {
            return parent.clone();
        }
        let span_id = Some(parent.context.span_id);
        Started { context: parent.context.child(), parent: span_id, recorded: parent.recorded }
    }

    /// Hands a finished span to the export queue. Never waits.
    pub fn finish(&self, span: SpanRecord) {
        if let Some(queue) = &self.queue {
            queue.push(span);
        }
    }
}

impl Started {
    /// Whether the span is recorded: if not, do not assemble it.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// An exemplar for an observation of this request, where it can be looked up.
    pub fn exemplar(&self, at: Moment) -> Option<Exemplar> {
        self.recorded.then_some(Exemplar { trace_id: self.context.trace_id, at })
    }

    /// The record of this span, without attributes.
    pub fn record(
        &self,
        name: &'static str,
        scope: &'static str,
        kind: SpanKind,
        (start, end): (Moment, Moment),
    ) -> SpanRecord {
        SpanRecord {
            context: self.context.clone(),
            parent: self.parent,
            name,
            scope,
            kind,
            start,
            end: end.max(start),
            attributes: Vec::with_capacity(USUAL_ATTRIBUTES),
            events: Vec::new(),
            status: Status::Unset,
        }
    }
}
