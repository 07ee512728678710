//! An answer that is passed on as it is.

use bytes::Bytes;
use http::StatusCode;
use openai::Usage;
use proxy::{End, Observe};
use telemetry::gateway::Request as Record;
use telemetry::server_timing::ServerTiming;
use telemetry::{Outcome, clock};

use super::Break;
use crate::held::Held;
use crate::outcome;

/// The longest JSON answer whose usage is read, bytes. The chunks are held, not copied, until the end.
const LONGEST_READ: usize = 1 << 20;

/// Watches an answer pass, and settles the request at its end.
pub(crate) struct Whole {
    record: Option<Record>,
    /// Given back when the answer has ended.
    held: Held,
    status: StatusCode,
    kept: Option<Kept>,
}

/// The chunks so far.
#[derive(Default)]
struct Kept {
    chunks: Vec<Bytes>,
    length: usize,
}

impl Whole {
    /// Settles `record` at the end of an answer with this `status`. `readable` says whether it is plain JSON of a
    /// generated answer, whose usage is worth reading.
    pub(crate) fn new(record: Record, held: Held, status: StatusCode, readable: bool) -> Self {
        let kept = (readable && status.is_success()).then(Kept::default);
        Self { record: Some(record), held, status, kept }
    }

    fn usage(&mut self) -> Option<Usage> {
        let kept = self.kept.take()?;
        match kept.chunks.as_slice() {
            [only] => Usage::from_response(only),
            chunks => Usage::from_response(&chunks.concat()),
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        let usage = self.usage();
        std::mem::take(&mut self.held).complete(usage);
        let Some(mut record) = self.record.take() else { return };
        if let Some(usage) = usage {
            record.usage(super::counted(usage));
        }
        record.finish(clock::now(), outcome, self.status.as_u16());
    }
}

impl Observe for Whole {
    fn frame(&mut self, data: &Bytes) {
        let Some(kept) = &mut self.kept else { return };
        kept.length += data.len();
        if kept.length > LONGEST_READ {
            self.kept = None;
        } else {
            kept.chunks.push(data.clone());
        }
    }

    fn end(&mut self, end: End<'_>) {
        match end {
            End::Complete => self.settle(outcome::of_answer(self.status)),
            End::Trailers(trailers) => {
                if let Some(record) = &mut self.record {
                    record.upstream_timing(&ServerTiming::from_headers(trailers));
                }
                self.settle(outcome::of_answer(self.status));
            }
            End::Error(_) => self.settle(outcome::of_break(Break::Lost, self.status)),
            // The client left: the record says so when it is dropped.
            End::Dropped => {}
        }
    }
}
