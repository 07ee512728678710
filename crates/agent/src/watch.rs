//! Watching an engine: what the tasks share, and what they do.

use std::sync::Arc;

use cluster::Publication;
use cluster::cms::Reporter;
use cluster::publication::Bells;
use cluster::records::{InstanceDiscoveryInfo, InstanceMetadata, InstanceStatus};
use parking_lot::Mutex;
use telemetry::clock::{self, Moment};

use crate::config::Config;
use crate::estimate::{Estimate, Flight, Unfit};
use crate::observation::Observation;
use crate::probe::{Probe, ProbeError};

/// An engine that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) config: Config,
    pub(crate) bells: Bells,
    probe: Probe,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    estimate: Estimate,
    /// As it was last said.
    fit: bool,
    /// Why the engine did not answer, if it did not.
    engine_failure: Option<String>,
    /// Why the sidecar did not, if it did not.
    sidecar_failure: Option<String>,
}

/// How things stand.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) fitness: Result<(), Unfit>,
    pub(crate) engine_failure: Option<String>,
    pub(crate) sidecar_failure: Option<String>,
}

impl Watch {
    pub(crate) fn new(config: Config) -> Self {
        let estimate = Estimate::new(config.infer_type, config.known.clone(), config.pace, clock::now());
        let state = State { estimate, fit: false, engine_failure: None, sidecar_failure: None };
        Self {
            probe: Probe::new(config.pace.scrape_timeout),
            bells: Bells::default(),
            state: Mutex::new(state),
            config,
        }
    }

    /// Reads the engine's metrics again and again.
    pub(crate) async fn scrape(&self) {
        let rank = (self.config.publication.dp_size > 1).then_some(self.config.publication.dp_rank);
        loop {
            let outcome = self.probe.engine(&self.config.engine, rank).await;
            self.take_scrape(outcome);
            tokio::time::sleep(self.config.pace.scrape_interval).await;
        }
    }

    /// Asks the sidecar for its requests again and again, if there is one.
    pub(crate) async fn follow(&self) {
        let Some(sidecar) = &self.config.sidecar else { return };
        loop {
            let outcome = self.probe.flights(sidecar).await;
            self.take_flights(outcome);
            tokio::time::sleep(self.config.pace.follow_interval).await;
        }
    }

    fn take_scrape(&self, outcome: Result<(Moment, Observation), ProbeError>) {
        let now = clock::now();
        let mut state = self.state.lock();
        match outcome {
            Ok((begun, observation)) => {
                state.estimate.scraped(begun, now, observation);
                recovered(&mut state.engine_failure, "engine");
            }
            Err(error) => failed(&mut state.engine_failure, "engine", &error),
        }
        self.settle(&mut state, now);
    }

    fn take_flights(&self, outcome: Result<Vec<Flight>, ProbeError>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(flights) => {
                if state.estimate.followed(clock::now(), flights) {
                    self.bells.status.notify_one();
                }
                recovered(&mut state.sidecar_failure, "sidecar");
            }
            Err(error) => {
                state.estimate.lost_sight();
                failed(&mut state.sidecar_failure, "sidecar", &error);
            }
        }
    }

    /// How things stand now.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state.lock();
        Standing {
            fitness: state.estimate.fitness(clock::now()),
            engine_failure: state.engine_failure.clone(),
            sidecar_failure: state.sidecar_failure.clone(),
        }
    }

    /// What discovery is to be told; nothing while the engine is unfit.
    pub(crate) fn info(&self) -> Option<InstanceDiscoveryInfo> {
        let state = self.state.lock();
        state.estimate.fitness(clock::now()).ok()?;
        let observation = state.estimate.observation()?;
        let (kv_transfer_ip, kv_port) = self.config.known.kv_endpoint.clone().unwrap_or_default();
        Some(InstanceDiscoveryInfo {
            kv_transfer_ip,
            kv_transfer_port: i32::from(kv_port),
            model: observation.model.clone().unwrap_or_default(),
            version: milliseconds(state.estimate.started()),
            ..self.config.publication.info(self.config.infer_type)
        })
    }

    fn metadata(&self) -> InstanceMetadata {
        let state = self.state.lock();
        let known = &self.config.known;
        let (ip_kvt, kv_port) = known.kv_endpoint.clone().unwrap_or_default();
        let observation = state.estimate.observation();
        let block_size = observation.and_then(|observation| observation.block_size).unwrap_or(0);
        InstanceMetadata {
            backend_type: observation.map_or("", |observation| observation.dialect.backend()).to_owned(),
            model: observation.and_then(|observation| observation.model.clone()).unwrap_or_default(),
            ip_kvt,
            kvt_port: i32::from(kv_port),
            utc_create: state.estimate.started(),
            block_size: i32::try_from(block_size).unwrap_or(i32::MAX),
            max_num_batched_tokens: i32::try_from(known.max_num_batched_tokens).unwrap_or(i32::MAX),
            ..self.config.publication.metadata(self.config.infer_type)
        }
    }

    /// Tells of what has become of the engine.
    fn settle(&self, state: &mut State, now: Moment) {
        self.bells.status.notify_one();
        let fitness = state.estimate.fitness(now);
        if std::mem::replace(&mut state.fit, fitness.is_ok()) == fitness.is_ok() {
            return;
        }
        self.bells.record.notify_one();
        match fitness {
            Ok(()) => tracing::info!("the engine takes requests"),
            Err(unfit) => tracing::warn!("no requests are to be sent: {unfit}"),
        }
    }
}

fn milliseconds(seconds: f64) -> i64 {
    i64::try_from(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn recovered(failure: &mut Option<String>, whose: &str) {
    if failure.take().is_some() {
        tracing::info!("the {whose} answers again");
    }
}

fn failed(failure: &mut Option<String>, whose: &str, error: &ProbeError) {
    if failure.is_none() {
        tracing::warn!("the {whose} cannot be asked: {error}");
    }
    *failure = Some(error.to_string());
}

/// The status that is published.
pub(crate) struct Status {
    watch: Arc<Watch>,
    update_id: i32,
    timestamp_ms: i64,
}

impl Status {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self { watch, update_id: 0, timestamp_ms: 0 }
    }
}

impl Reporter for Status {
    fn metadata(&mut self) -> InstanceMetadata {
        self.watch.metadata()
    }

    fn status(&mut self) -> InstanceStatus {
        let now = clock::now();
        let now_ms = i64::try_from(now.unix_nanos() / 1_000_000).unwrap_or(i64::MAX);
        self.timestamp_ms = now_ms.max(self.timestamp_ms + 1);
        self.update_id = self.update_id.wrapping_add(1).max(1);
        InstanceStatus {
            instance_id: self.id(),
            timestamp_ms: self.timestamp_ms,
            update_id: self.update_id,
            ..self.watch.state.lock().estimate.status(now)
        }
    }
}

impl Status {
    fn id(&self) -> String {
        Publication::id(&self.watch.config.publication)
    }
}
