//! Both legs at once, for engines that meet each other while they work.
//!
//! The prefill leg runs in a task of its own, since it must outlive the client: cancelling it in the middle of a transfer
//! leaks blocks on both engines. Its end is watched by whoever holds the other leg, from the first moment to the last token,
//! because a decoder whose prefill has failed waits for its own time-out (minutes) and says nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use parking_lot::Mutex;
use pd::{Meeting, Plan, Protocol};
use proxy::body::next_frame;
use proxy::client::UpstreamBody;
use proxy::{Client, Drain};
use telemetry::clock::{self, Moment};
use telemetry::coordinator::Request as Record;
use telemetry::trace::TraceContext;
use tokio::sync::oneshot;

use crate::asked::Asked;
use crate::failure::Failure;
use crate::prefill::{self, Attempts, Failed, Leg, Patience, Prefiller};
use crate::release::Decoder;
use crate::run::Runner;

/// A prefill leg in progress; resolves at its end.
pub(crate) struct Prefilling(oneshot::Receiver<Ended>);

/// How a prefill leg ended, and when.
pub(crate) struct Ended {
    at: Moment,
    result: Result<u16, Failed>,
}

impl Ended {
    /// Puts the end on record.
    pub(crate) fn note(self, record: &mut Record) -> Result<(), Failed> {
        match self.result {
            Ok(status) => {
                record.prefill_done(self.at, status);
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }
}

impl Future for Prefilling {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        // The task answers unless it was cut off by the end of a drain, and then nobody asks any more.
        Pin::new(&mut self.0).poll(cx).map(|ended| ended.unwrap_or_else(|_| Ended::cut()))
    }
}

impl Ended {
    fn cut() -> Self {
        Self { at: clock::now(), result: Err(Failed::shut_down()) }
    }
}

/// The decode leg of a concurrent request, as far as it has come.
pub(crate) struct Met {
    pub(crate) response: Response<UpstreamBody>,
    /// Read already, while the prefill was still open.
    pub(crate) held: Vec<Bytes>,
    /// The prefill, if it has not ended yet.
    pub(crate) prefilling: Option<Prefilling>,
}

/// Everything an attempt needs.
pub(crate) struct Legs<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) asked: &'a Arc<Asked>,
    pub(crate) decoder: &'a Decoder,
}

impl Legs<'_> {
    /// Runs both legs, with another candidate when a prefill fails in a way that another may not and nothing of the
    /// decoder's answer has gone to the client yet.
    pub(crate) async fn run(&self, prefillers: &[Prefiller], record: &mut Record) -> Result<Met, Failure> {
        let mut attempts = Attempts::new(prefillers.len(), self.runner.settings().patience);
        let trace = record.prefill_sent(clock::now());
        loop {
            let Some((index, pause)) = attempts.next() else { return Err(Failed::no_candidate().into_failure()) };
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let prefiller = &prefillers[index];
            record.prefill_target(prefiller.target.authority());
            let failed = match self.once(prefiller, &trace, record).await {
                Ok(met) => return Ok(met),
                Err(End::Decode(failure)) => return Err(failure),
                Err(End::Prefill(failed)) => failed,
            };
            self.forget(prefiller);
            record.prefill_attempt_failed(clock::now(), failed.reason());
            if !failed.is_retryable() || attempts.exhausted() {
                record.prefill_failed(clock::now(), failed.status(), failed.reason());
                return Err(failed.into_failure());
            }
            record.prefill_retry(clock::now(), failed.reason());
        }
    }

    async fn once(&self, prefiller: &Prefiller, trace: &TraceContext, record: &mut Record) -> Result<Met, End> {
        let protocol = self.runner.settings().protocol;
        let meeting = self.meeting(protocol, prefiller).await.map_err(End::Prefill)?;
        let plan = protocol.plan(self.asked.api, &self.asked.body, &prefiller.peer, Some(&meeting));
        let Plan::Concurrent(bodies) = plan.map_err(|error| End::Prefill(Failed::unplanned(error)))? else {
            return Err(End::Prefill(Failed::no_candidate()));
        };
        let mut prefilling = Some(self.spawn_prefill(prefiller, bodies.prefill, bodies.rank, trace.clone()));
        let response = self.decode(bodies.decode, &mut prefilling, record).await?;
        self.hold(response, prefilling, record).await
    }

    /// Where the two legs of this attempt meet.
    async fn meeting(&self, protocol: Protocol, prefiller: &Prefiller) -> Result<Meeting, Failed> {
        match protocol.query_port() {
            Some(port) => self.runner.bootstraps().meeting(self.runner.client(), prefiller, port).await,
            None => Ok(Meeting::Room(prefiller.peer.room())),
        }
    }

    /// What was learnt of a prefill server that failed may be the reason.
    fn forget(&self, prefiller: &Prefiller) {
        if let Some(port) = self.runner.settings().protocol.query_port() {
            self.runner.bootstraps().forget(prefiller, port);
        }
    }

    fn spawn_prefill(&self, prefiller: &Prefiller, body: Bytes, rank: Option<u32>, trace: TraceContext) -> Prefilling {
        let (tell, told) = oneshot::channel();
        let leg = OwnedLeg {
            client: self.runner.client().clone(),
            asked: Arc::clone(self.asked),
            prefiller: prefiller.clone(),
            patience: self.runner.settings().patience,
            rank,
        };
        let drain: &Drain = &self.decoder.drain;
        drain.spawn(async move {
            // Nobody listens when the client has left, and the leg goes on all the same.
            let _ = tell.send(leg.run(body, &trace).await);
        });
        Prefilling(told)
    }

    /// Sends the decode leg and waits for its head, or for the prefill to fail.
    async fn decode(
        &self,
        body: Bytes,
        prefilling: &mut Option<Prefilling>,
        record: &mut Record,
    ) -> Result<Response<UpstreamBody>, End> {
        let shared = Mutex::new(record);
        let send = self.decoder.ask(self.asked, body, |headers, sent| {
            shared.lock().decode_sent(sent).inject(headers);
        });
        let mut send = std::pin::pin!(send);
        loop {
            tokio::select! {
                ended = until_ended(prefilling) => {
                    *prefilling = None;
                    ended.note(&mut shared.lock()).map_err(End::Prefill)?;
                }
                response = &mut send => {
                    return response.map_err(End::Decode);
                }
            }
        }
    }

    /// Keeps the decoder's head back until its first bytes come or the prefill ends: until then a failed prefill can
    /// still be a plain error, with its status.
    async fn hold(
        &self,
        response: Response<UpstreamBody>,
        mut prefilling: Option<Prefilling>,
        record: &mut Record,
    ) -> Result<Met, End> {
        let (head, mut body) = response.into_parts();
        let mut held = Vec::new();
        if prefilling.is_some() && head.status.is_success() {
            tokio::select! {
                biased;
                ended = until_ended(&mut prefilling) => {
                    prefilling = None;
                    ended.note(record).map_err(End::Prefill)?;
                }
                frame = next_frame(&mut body) => match frame {
                    Some(Ok(frame)) => held.extend(frame.into_data().ok()),
                    Some(Err(error)) => return Err(End::Decode(Failure::decoder(&error))),
                    None => {}
                },
            }
        }
        Ok(Met { response: Response::from_parts(head, body), held, prefilling })
    }
}

/// Which leg spoilt an attempt.
enum End {
    Prefill(Failed),
    Decode(Failure),
}

async fn until_ended(prefilling: &mut Option<Prefilling>) -> Ended {
    match prefilling {
        Some(prefilling) => prefilling.await,
        None => std::future::pending().await,
    }
}

/// A prefill leg that owns what it needs.
struct OwnedLeg {
    client: Client,
    asked: Arc<Asked>,
    prefiller: Prefiller,
    patience: Patience,
    rank: Option<u32>,
}

impl OwnedLeg {
    async fn run(self, body: Bytes, trace: &TraceContext) -> Ended {
        let limit = self.patience.limit;
        let leg = Leg {
            client: &self.client,
            asked: &self.asked,
            patience: self.patience,
            reads: false,
            rank: self.rank,
            // It is not given up when the client leaves.
            late: None,
        };
        let answer = tokio::time::timeout(limit, prefill::once(&leg, &self.prefiller, body, trace)).await;
        let result = match answer {
            Ok(answer) => answer.map(|answer| answer.status.as_u16()),
            Err(_) => Err(Failed::timed_out(limit)),
        };
        Ended { at: clock::now(), result }
    }
}
