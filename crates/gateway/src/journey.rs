//! A request's way through its destinations: the cluster, endpoints outside, and the fallbacks of both.
//!
//! [`answer`] stands before the attempts of the cluster. Without `--route-policy` it is one branch. With it, the routes say
//! where a request goes first; and where that fails, the fallbacks are tried in the order of the configuration. Nothing of
//! this happens once an answer has begun: whatever has a head is the client's.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode};
use proxy::Body;
use telemetry::clock::{self, Moment};
use telemetry::gateway::{Fallback, Request as Record};

use crate::admission::Slot;
use crate::ask::Ask;
use crate::attempts;
use crate::errors::{Refusal, Sent};
use crate::headers::REQUEST_ID;
use crate::held::Held;
use crate::prepare::Prepared;
use crate::retry::Reason;
use crate::state::State;
use crate::traffic::{Backlog, Choice, External, Routes, Waiting};

/// Sends a request where it belongs, and where that fails, on along the fallbacks. The slot is for the cluster: a request
/// that leaves it gives the slot back at once.
///
/// What the request holds until the answer's last byte is left in `held`.
pub(crate) async fn answer(
    state: &State,
    ask: &Ask,
    record: &mut Record,
    prepared: &Prepared,
    slot: Slot<'_>,
    held: &mut Held,
) -> Sent {
    let Some(routes) = &state.traffic.routes else {
        return attempts::answer(state, ask, record, prepared, slot, held).await;
    };
    let journey = Journey { state, ask, prepared };
    let model = prepared.model.as_deref().unwrap_or_default();
    match routes.choose(model) {
        Choice::Local => {
            let sent = attempts::answer(state, ask, record, prepared, slot, held).await;
            if could_not_be_served(&sent) { journey.fall_back(routes, None, sent, record).await } else { sent }
        }
        Choice::External(external) => {
            drop(slot);
            let sent = journey.send(external, record).await;
            match judge(external, &sent) {
                Verdict::Fine => sent,
                Verdict::Limited(_) | Verdict::Failed => journey.fall_back(routes, Some(external), sent, record).await,
            }
        }
        Choice::Unmatched => {
            drop(slot);
            let sent = Err(Refusal::Unrouted { model: model.to_owned() });
            journey.fall_back(routes, None, sent, record).await
        }
    }
}

/// Whether the cluster failed a request: nobody could be found for it, or whoever was found did not answer, or with an
/// error of its own. What a client did wrong is wrong elsewhere too.
fn could_not_be_served(sent: &Sent) -> bool {
    let unscheduled = sent.as_ref().is_err_and(|refusal| refusal.fault().0 == telemetry::Stage::Schedule);
    unscheduled || Reason::of(sent).is_some()
}

/// What an answer of an endpoint means for the request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the client's, be it an error.
    Fine,
    /// Too many requests; the endpoint asks for this much patience.
    Limited(Option<Duration>),
    /// Somebody else may do better.
    Failed,
}

/// An endpoint that did not answer, answered that it cannot, or refused what the gateway put into the request itself (the
/// key, the model) has failed; any other answer is about the client's request.
fn judge(external: &External, sent: &Sent) -> Verdict {
    let Ok(response) = sent else { return Verdict::Failed };
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => Verdict::Limited(patience(response.headers())),
        StatusCode::REQUEST_TIMEOUT => Verdict::Failed,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYMENT_REQUIRED if external.has_key() => {
            Verdict::Failed
        }
        StatusCode::NOT_FOUND if external.names_model() => Verdict::Failed,
        status if status.is_server_error() => Verdict::Failed,
        _ => Verdict::Fine,
    }
}

/// `Retry-After` in seconds. Its other form, a date, is not for a queue of seconds.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A request on its way out of the cluster.
#[derive(Clone, Copy)]
struct Journey<'a> {
    state: &'a State,
    ask: &'a Ask,
    prepared: &'a Prepared,
}

impl Journey<'_> {
    /// Tries the fallbacks in order. When none does better, the last failure stands.
    async fn fall_back(
        self,
        routes: &Routes,
        tried: Option<&Arc<External>>,
        failed: Sent,
        record: &mut Record,
    ) -> Sent {
        let mut last = failed;
        for external in routes.fallbacks(tried) {
            last = Box::pin(self.send(external, record)).await;
            let verdict = judge(external, &last);
            record.fallback(Fallback {
                at: clock::now(),
                target: external.name(),
                status: last.as_ref().ok().map(|response| response.status().as_u16()),
                served: verdict == Verdict::Fine,
            });
            match verdict {
                Verdict::Fine => return last,
                Verdict::Failed => {}
                Verdict::Limited(patience) => {
                    let Some(waiting) = self.state.traffic.backlog.as_ref().and_then(Backlog::enter) else { continue };
                    last = Box::pin(self.wait_out(external, waiting, patience, last, record)).await;
                    if judge(external, &last) == Verdict::Fine {
                        record.fallback_waited_out();
                        return last;
                    }
                }
            }
        }
        last
    }

    /// Tries an endpoint again and again that has too many requests, until it answers otherwise or the turns are used up.
    async fn wait_out(
        self,
        external: &External,
        mut waiting: Waiting<'_>,
        mut patience: Option<Duration>,
        limited: Sent,
        record: &mut Record,
    ) -> Sent {
        let mut last = limited;
        while let Some(_turn) = waiting.turn(patience).await {
            last = self.send(external, record).await;
            match judge(external, &last) {
                Verdict::Limited(asked) => patience = asked,
                Verdict::Fine | Verdict::Failed => break,
            }
        }
        last
    }

    /// Hands the request to an endpoint and waits for the head of its answer.
    async fn send(self, external: &External, record: &mut Record) -> Sent {
        let Self { state, ask, prepared } = self;
        let path = ask.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let mut request = Request::new(Body::from(external.body(&prepared.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = external.uri(&path);
        *request.headers_mut() = ask.headers.clone();
        let fields = request.headers_mut();
        fields.insert(REQUEST_ID, ask.request_id.clone());
        if ask.caller.is_some() {
            // The key was for this gateway; it is nobody else's business.
            fields.remove(AUTHORIZATION);
        }
        external.authorize(fields);
        record.targets(None, Some(external.name()));
        record.scheduled(clock::now());
        let finish_head = |fields: &mut HeaderMap, now: Moment| record.dispatched(now).inject(fields);
        let sent = state.client.send_with(external.target(), request, finish_head).await;
        sent.map(|response| response.map(Body::from))
            .map_err(|error| Refusal::Elsewhere { name: external.name().to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn answered(status: u16) -> Sent {
        Ok(Response::builder().status(status).body(Body::Empty).unwrap())
    }

    #[test]
    fn a_refusal_of_what_the_gateway_said_itself_is_the_endpoints_failure() {
        let plain = External::parse("http://a", "", "").unwrap();
        let ours = External::parse("http://a", "key", "model").unwrap();
        for (status, plain_fails, ours_fails) in [
            (200, false, false),
            (400, false, false),
            (401, false, true),
            (402, false, true),
            (403, false, true),
            (404, false, true),
            (408, true, true),
            (422, false, false),
            (500, true, true),
            (503, true, true),
        ] {
            let failed = |external| judge(external, &answered(status)) == Verdict::Failed;
            assert_eq!((failed(&plain), failed(&ours)), (plain_fails, ours_fails), "{status}");
        }
        assert_eq!(judge(&plain, &answered(429)), Verdict::Limited(None));
    }

    #[test]
    fn patience_is_a_number_of_seconds() {
        let read = |text: &str| patience(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(read(" 7 "), Some(Duration::from_secs(7)));
        for other in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
