//! What a gateway at work has beside it: a Redis in which instances say how they are, a scheduler that reads it, and a
//! tokenizer.

use std::path::{Path, PathBuf};

use super::tokenizer;
use crate::frame::Ground;
use crate::proxy::Beside;
use crate::proxy::stack::Engine;
use crate::stage::{Redis, Scheduler};
use crate::{Error, records};

/// A cluster of null engines that the gateway under test serves.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Serves whole requests, and prefill legs.
    pub(super) engine: Engine,
    /// Serves decode legs.
    pub(super) decoder: Engine,
    scheduler: Scheduler,
    tokenizer: PathBuf,
    _redis: Redis,
}

impl Cluster {
    /// Starts it on the load's core.
    pub(super) fn start(ground: &Ground) -> Result<Self, Error> {
        let (directory, cpu) = (ground.directory(), ground.load_cpu);
        let engine = Engine::start("engine", ground)?;
        let decoder = Engine::start("decoder", ground)?;
        let tokenizer = tokenizer::put(directory)?;
        let redis = Redis::start(directory, cpu)?;
        let instances = [("neutral", engine.address), ("prefill", engine.address), ("decode", decoder.address)];
        redis.put(&records::at(&instances))?;
        // Nobody writes the records again; they are to be believed as long as the bench runs.
        let flags = ["--instance-staleness-seconds", "36000"];
        let scheduler = Scheduler::start(&redis, &flags, instances.len(), (cpu, directory))?;
        Ok(Self { engine, decoder, scheduler, tokenizer, _redis: redis })
    }

    /// What cases of it need to know.
    pub(super) fn beside(&self) -> Beside<'_> {
        Beside {
            decoder: Some(self.decoder.address),
            scheduler: Some(self.scheduler.address),
            tokenizer: Some(Path::new(&self.tokenizer)),
        }
    }
}
