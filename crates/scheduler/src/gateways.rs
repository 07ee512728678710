//! Gateways that are connected, by the id they have for as long as their `/keepalive` connection lives.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// The connected gateways.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    /// Id, and how many connections have it: a gateway may open its next before we have seen the last one end.
    connections: RwLock<HashMap<Arc<str>, usize>>,
}

impl Gateways {
    /// A connection of the gateway is alive from now on. Says how many gateways there are.
    pub(crate) fn enter(&self, id: &Arc<str>) -> usize {
        let mut connections = self.connections.write();
        *connections.entry(Arc::clone(id)).or_default() += 1;
        connections.len()
    }

    /// A connection of the gateway has ended. Says whether it was the last one, and how many gateways are left.
    pub(crate) fn leave(&self, id: &str) -> (bool, usize) {
        let mut connections = self.connections.write();
        let left = connections.get_mut(id).map_or(0, |count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == 0 {
            connections.remove(id);
        }
        (left == 0, connections.len())
    }

    /// The id of a gateway that is connected.
    pub(crate) fn known(&self, id: &str) -> Option<Arc<str>> {
        self.connections.read().get_key_value(id).map(|(id, _)| Arc::clone(id))
    }
}
