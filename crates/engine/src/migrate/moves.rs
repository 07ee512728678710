//! Requests that were handed over, by the names under which the instance that has them reports.

use crate::core::FinishReason;
use crate::instance::Away;
use crate::kv::link::Link;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The table of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves(Arc<Mutex<HashMap<String, Expected>>>);

/// A request of which nobody has reported yet.
#[derive(Debug)]
struct Expected {
    away: Away,
    arrived: oneshot::Sender<()>,
}

/// Waits for a request to arrive. Dropping it takes the request back, unless it has arrived.
#[derive(Debug)]
pub(crate) struct Moving {
    moves: Moves,
    name: String,
    arrived: oneshot::Receiver<()>,
}

impl Moves {
    /// Expects reports under `name`.
    pub(crate) fn expect(&self, name: &str, away: Away) -> Moving {
        let (sender, arrived) = oneshot::channel();
        self.0.lock().insert(name.to_owned(), Expected { away, arrived: sender });
        Moving { moves: self.clone(), name: name.to_owned(), arrived }
    }

    /// Listens to the reports of one request, to its end.
    pub(crate) async fn follow(&self, name: &str, link: &mut Link) -> io::Result<()> {
        let found = self.0.lock().remove(name);
        let Some(Expected { away, arrived }) = found else {
            return link.write("no request under this name").await;
        };
        link.write("ok").await?;
        let mut arrived = Some(arrived);
        loop {
            let line = tokio::select! {
                line = link.read() => line?,
                // Whoever waited for the first token takes the request back.
                () = given_up(&mut arrived) => return Ok(()),
            };
            let Some(line) = line else { return Ok(()) };
            let Some(report) = Report::parse(line) else {
                return link.write("no report").await;
            };
            if arrived.take().is_some_and(|arrived| arrived.send(()).is_err()) {
                return Ok(());
            }
            match report {
                Report::Tokens(tokens) if away.relay(tokens) => {}
                // The client has left; so may the one that computes for it.
                Report::Tokens(_) => return Ok(()),
                Report::End(reason) => {
                    away.end(reason);
                    return Ok(());
                }
            }
        }
    }
}

/// Resolves when nobody waits for the request to arrive any more; never when it has.
async fn given_up(arrived: &mut Option<oneshot::Sender<()>>) {
    match arrived {
        Some(arrived) => arrived.closed().await,
        None => std::future::pending().await,
    }
}

impl Moving {
    /// Waits until the other instance has generated something.
    pub(super) async fn within(mut self, patience: Duration) -> Result<(), &'static str> {
        match tokio::time::timeout(patience, &mut self.arrived).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("has taken it and given it up"),
            Err(_) => Err("has taken it and generates nothing"),
        }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        // Outside the lock: bringing a request back takes another one.
        let expected = self.moves.0.lock().remove(&self.name);
        drop(expected);
    }
}

/// One line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// So many tokens have been generated altogether.
    Tokens(u32),
    /// That was all.
    End(FinishReason),
}

impl Report {
    /// The report as a line.
    pub(super) fn line(self) -> String {
        match self {
            Self::Tokens(tokens) => format!("tokens {tokens}"),
            Self::End(reason) => format!("end {}", reason.as_str()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("tokens", tokens) => tokens.parse().ok().map(Self::Tokens),
            ("end", "stop") => Some(Self::End(FinishReason::Stop)),
            ("end", "length") => Some(Self::End(FinishReason::Length)),
            _ => None,
        }
    }
}
