//! Taking a request in.

use super::moves::Report;
use super::parcel::{FORMAT, Parcel};
use crate::core::FinishReason;
use crate::engine::Engine;
use crate::instance::Ticket;
use crate::kv::link::Link;
use crate::kv::{Lease, Source};
use cluster::records::llumlet::{MigrateInRequest, MigrateInResponse};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

/// `MigrateIn`: takes a request, or says why not.
pub(crate) fn take_in(engine: &Arc<Engine>, request: &MigrateInRequest) -> MigrateInResponse {
    match taken(engine, request) {
        Ok(()) => MigrateInResponse { success: true, message: String::new() },
        Err(message) => MigrateInResponse { success: false, message },
    }
}

fn taken(engine: &Arc<Engine>, request: &MigrateInRequest) -> Result<(), String> {
    if request.serialization_format != FORMAT {
        return Err(format!("serialization_format {:?} is not known: {FORMAT}", request.serialization_format));
    }
    let parcel = Parcel::parse(&request.serialized_migrate_req)?;
    let config = &engine.config;
    if !engine.is_schedulable() {
        return Err("takes no requests now".to_owned());
    }
    if !config.models.contains(&parcel.model) {
        return Err(format!("does not serve {:?}", parcel.model));
    }
    if parcel.block_size != config.core.block_size {
        return Err(format!("its blocks have {} tokens, not {}", config.core.block_size, parcel.block_size));
    }
    if !engine.instance.fits(parcel.prompt_tokens(), parcel.max_tokens()) {
        return Err("the request does not fit into its KV cache".to_owned());
    }
    let lease = parcel.lease();
    let (departure, meta) = parcel.unpack();
    let source = (departure.computed > 0).then(|| Source::Lease(lease.clone()));
    let ticket = engine.instance.submit(departure.into_spec(), source, meta);
    engine.background.spawn(async move {
        if let Err(error) = report(ticket, &lease).await {
            tracing::debug!(%error, "a request that was taken in is given up: its client's instance is not reached");
        }
    });
    Ok(())
}

/// Computes the request, and reports how far it is to the instance that has its client. Gives it up when that one does.
async fn report(mut ticket: Ticket, lease: &Lease) -> io::Result<()> {
    let mut link = Link::connect(&lease.address).await?;
    let answer = link.ask(&format!("follow {}", lease.request_id)).await?;
    if answer != "ok" {
        return Err(io::Error::other(answer.to_owned()));
    }
    loop {
        let progress = tokio::select! {
            progress = poll_fn(|cx| ticket.poll(cx)) => progress,
            () = link.closed() => return Ok(()),
        };
        match progress.finished.map(|summary| summary.reason) {
            None => link.write(&Report::Tokens(progress.tokens).line()).await?,
            Some(reason @ (FinishReason::Stop | FinishReason::Length)) => {
                link.write(&Report::Tokens(progress.tokens).line()).await?;
                return link.write(&Report::End(reason).line()).await;
            }
            // Its KV did not come: whoever sent it has it.
            Some(_) => return Ok(()),
        }
    }
}
