//! Keeping the roster current, as discovery learns who there is.
//!
//! A request never waits for discovery: it takes the roster of its moment, and one that is away leaves the roster as it was.

use std::time::Duration;

use cluster::discovery::Discovery;

use crate::config::DiscoveryConfig;
use crate::endpoints::{CurrentRoster, Roster};
use crate::state::State;

/// How long a start waits for discovery to name the first engines.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Fills the roster, and follows discovery until the drain begins. Returns when the first engines are known, or after a
/// moment: a store that is away must not keep the gateway from listening.
pub(crate) async fn follow(config: &DiscoveryConfig, state: &State) {
    let source = match config {
        DiscoveryConfig::Endpoints(roster) => return state.roster.store(roster.clone().into()),
        DiscoveryConfig::Source(source) => source.clone(),
    };
    let mut discovery = Discovery::start(source, &state.drain);
    state.discovery.store(Some(discovery.clone().into()));
    let _ = tokio::time::timeout(FIRST_LOOK, discovery.changed()).await;
    take(&discovery, &state.roster);
    let (roster, drain) = (state.roster.clone(), state.drain.clone());
    state.drain.spawn(async move {
        tokio::select! {
            () = drain.begun() => {}
            () = take_every(discovery, &roster) => {}
        }
    });
}

async fn take_every(mut discovery: Discovery, roster: &CurrentRoster) {
    loop {
        discovery.changed().await;
        take(&discovery, roster);
    }
}

fn take(discovery: &Discovery, roster: &CurrentRoster) {
    let known = discovery.roster();
    let before = roster.load();
    roster.store(Roster::discovered(known.instances(), &before).into());
}
