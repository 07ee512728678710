//! Bringing KV in.

use super::link::Link;
use super::{FetchError, Lease, Source};
use crate::instance::Timer;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use telemetry::clock;

/// Fetches from `source`, which takes `duration` from the moment on at which the source has the KV; the conversation
/// about it counts into that time.
///
/// # Errors
/// When the source cannot be reached, refuses, or (a room) is not ready within `patience`.
pub(crate) async fn fetch(
    source: &Source,
    duration: Duration,
    patience: Duration,
    timer: &Timer,
) -> Result<(), FetchError> {
    match source {
        Source::Store => {
            timer.until(clock::now() + duration).await;
            Ok(())
        }
        Source::Lease(lease) => pull(lease, duration, timer).await,
        Source::Computed { lease, prompt } => {
            compute(lease, prompt).await?;
            pull(lease, duration, timer).await
        }
        Source::Room { address, room, engine_id } => {
            let joined = tokio::time::timeout(patience, join(address, *room, engine_id));
            let mut link = joined.await.map_err(|_| FetchError::TimedOut(*room))??;
            timer.until(clock::now() + duration).await;
            link.write("done").await.map_err(at(address))
        }
    }
}

/// Tells a prefill instance that nobody will pull. Failing to reach it is its own time-out's business.
pub(crate) async fn decline(source: &Source) -> Result<(), FetchError> {
    let Source::Lease(lease) = source else { return Ok(()) };
    converse(lease, "free").await.map(drop)
}

async fn pull(lease: &Lease, duration: Duration, timer: &Timer) -> Result<(), FetchError> {
    let deadline = clock::now() + duration;
    let mut link = converse(lease, "pull").await?;
    timer.until(deadline).await;
    link.write("done").await.map_err(at(&lease.address))
}

async fn converse(lease: &Lease, command: &str) -> Result<Link, FetchError> {
    let Lease { address, engine_id, request_id } = lease;
    let mut link = Link::connect(address).await.map_err(at(address))?;
    let answer = link.ask(&format!("{command} {engine_id} {request_id}")).await;
    granted(answer.map_err(at(address))?)?;
    Ok(link)
}

/// Has a prefill instance compute a prompt.
async fn compute(lease: &Lease, (salt, tokens): &(u64, Arc<[u32]>)) -> Result<(), FetchError> {
    let address = &lease.address;
    let mut link = Link::connect(address).await.map_err(at(address))?;
    let mut command = format!("compute {} {salt}", lease.request_id);
    for token in tokens.iter() {
        // Writing to a string does not fail.
        let _ = write!(command, " {token}");
    }
    granted(link.ask(&command).await.map_err(at(address))?)
}

async fn join(address: &str, room: u64, engine_id: &str) -> Result<Link, FetchError> {
    let mut link = Link::connect(address).await.map_err(at(address))?;
    granted(link.ask(format!("join {room} {engine_id}").trim_end()).await.map_err(at(address))?)?;
    Ok(link)
}

fn granted(answer: &str) -> Result<(), FetchError> {
    match answer {
        "ok" => Ok(()),
        refusal => Err(FetchError::Refused(refusal.trim_start_matches("no ").to_owned())),
    }
}

fn at(address: &str) -> impl Fn(io::Error) -> FetchError {
    move |source| FetchError::Link { address: address.to_owned(), source }
}
