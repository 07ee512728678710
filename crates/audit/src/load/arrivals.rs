//! Open and closed loop.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use parking_lot::Mutex;
use tokio::task::{JoinError, JoinSet};

use super::Limit;
use crate::client::Client;
use crate::record::Record;
use crate::stopwatch::{self, Stamp};
use crate::workload::{Plan, Planned};

/// Requests under way at once in an open loop; further arrivals wait, and their records say how long. Without a
/// bound a server that has stopped answering would take the client's memory with it.
const MAX_UNDER_WAY: usize = 10_000;

/// A run in progress.
pub(super) struct Run {
    client: Arc<Client>,
    plan: Plan,
    limit: Limit,
    deadline: Stamp,
    bar: ProgressBar,
}

impl Run {
    pub(super) fn new(client: Arc<Client>, plan: Plan, limit: Limit, bar: ProgressBar) -> Self {
        Self { client, plan, limit, deadline: stopwatch::now().after(limit.time), bar }
    }

    /// The next request, `None` when the run has reached its limit.
    fn next(&mut self) -> Option<Planned> {
        let within = !self.deadline.remaining().is_zero();
        self.plan.next().filter(|planned| within && planned.index < self.limit.requests)
    }

    /// Starts requests at the times of a Poisson process.
    pub(super) async fn open(mut self, rate: f64) -> Vec<Record> {
        let mut under_way = JoinSet::new();
        let mut records = Vec::new();
        let mut intended = stopwatch::now();
        while let Some(planned) = self.next() {
            intended = intended.after(Duration::from_secs_f64(planned.gap / rate));
            if intended > self.deadline {
                break;
            }
            tokio::time::sleep(intended.remaining()).await;
            if under_way.len() >= MAX_UNDER_WAY {
                self.keep(under_way.join_next().await, &mut records);
            }
            while let Some(ended) = under_way.try_join_next() {
                self.keep(Some(ended), &mut records);
            }
            let client = Arc::clone(&self.client);
            under_way.spawn(async move { client.perform(&planned, Some(intended)).await });
        }
        while let Some(ended) = under_way.join_next().await {
            self.keep(Some(ended), &mut records);
        }
        records
    }

    fn keep(&self, ended: Option<Result<Record, JoinError>>, records: &mut Vec<Record>) {
        if let Some(Ok(record)) = ended {
            self.bar.inc(1);
            records.push(record);
        }
    }

    /// Runs `clients` clients, each of which sends its next request when its last one has ended.
    pub(super) async fn closed(self, clients: usize, ramp: Duration) -> Vec<Record> {
        let run = Arc::new(Mutex::new(self));
        let records = Arc::new(Mutex::new(Vec::new()));
        let mut workers = JoinSet::new();
        for worker in 0..clients {
            let (run, records) = (Arc::clone(&run), Arc::clone(&records));
            let pause = ramp.mul_f64(worker as f64 / clients as f64);
            workers.spawn(async move {
                tokio::time::sleep(pause).await;
                one_client(&run, &records).await;
            });
        }
        while workers.join_next().await.is_some() {}
        let mut records = records.lock();
        std::mem::take(&mut *records)
    }
}

async fn one_client(run: &Mutex<Run>, records: &Mutex<Vec<Record>>) {
    let (client, bar) = {
        let run = run.lock();
        (Arc::clone(&run.client), run.bar.clone())
    };
    loop {
        let Some(planned) = run.lock().next() else {
            return;
        };
        let record = client.perform(&planned, None).await;
        bar.inc(1);
        // A server that refuses connections answers at once; without a pause the clients would spin.
        let unanswered = record.status.is_none() && record.failed();
        records.lock().push(record);
        if unanswered {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
