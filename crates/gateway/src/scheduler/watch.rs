//! What becomes of a request of which the scheduler said what it expects: its times, measured from the placement, and the report
//! of them. Without such a word nothing is measured and nothing is sent.

use cluster::api::{ReportEvent, ReportKind, SchedulingRequest, Times};
use telemetry::clock::Moment;

use super::report::event;

/// The times of one request.
#[derive(Debug)]
pub(super) struct Watch {
    placed: Moment,
    /// The first tokens: when, and how many came at once.
    first: Option<(Moment, u64)>,
    last: Moment,
    tokens: u64,
}

impl Watch {
    pub(super) fn new(placed: Moment) -> Self {
        Self { placed, first: None, last: placed, tokens: 0 }
    }

    pub(super) fn tokens(&mut self, count: u32, now: Moment) {
        self.tokens += u64::from(count);
        self.first.get_or_insert((now, self.tokens));
        self.last = now;
    }

    /// What was measured; `None` while no token has come.
    fn measured(&self) -> Option<Times> {
        let (first, at_once) = self.first?;
        let micros = |from: Moment, to: Moment| to.nanos_since(from) / 1000;
        let further = self.tokens - at_once;
        let tpot_us = micros(first, self.last).checked_div(further);
        Some(Times { ttft_us: Some(micros(self.placed, first)), tpot_us })
    }

    /// The report of a request that has ended, in whatever way.
    pub(super) fn report(&self, request: &SchedulingRequest) -> Option<ReportEvent> {
        let measured = Some(self.measured()?);
        let event = event(request, ReportKind::StateUpdate, self.tokens)?;
        Some(ReportEvent { expected: request.expected, measured, ..event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos((1 << 51) + millis * 1_000_000)
    }

    #[test]
    fn times_are_from_the_placement_and_from_token_to_token() {
        let mut watch = Watch::new(at(0));
        assert_eq!(watch.measured(), None, "no token, no time");
        watch.tokens(2, at(50));
        assert_eq!(watch.measured(), Some(Times { ttft_us: Some(50_000), tpot_us: None }), "two at once");
        watch.tokens(1, at(60));
        watch.tokens(3, at(90));
        assert_eq!(watch.measured(), Some(Times { ttft_us: Some(50_000), tpot_us: Some(10_000) }));
    }
}
