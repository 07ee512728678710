//! An observatory as a process, and what is sent to it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::grpc::Connection;
use super::panels::{self, Question};
use crate::process::{Process, ProcessError, free_address};
use crate::stage::{Line, candor, get};
use crate::{Error, exposition};

const PATIENCE: Duration = Duration::from_secs(60);

/// Nanoseconds since 1970, by the machine's clock: samples and spans say when they are of.
pub(super) fn unix_nanos() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// How OTLP comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Http,
    Grpc,
}

/// A running one.
#[derive(Debug)]
pub(super) struct Observatory {
    pub(super) process: Process,
    address: SocketAddr,
}

impl Observatory {
    /// Starts one on `cpu`, with a data directory where one is given, and waits until it answers. It keeps what is older than
    /// six hours while it is being filled.
    pub(super) fn start(name: &str, data: Option<&Path>, cpu: usize, directory: &Path) -> Result<Self, Error> {
        let [address, grpc, http] = [free_address()?, free_address()?, free_address()?].map(|free| free.to_string());
        let words = [
            "observatory",
            "--listen",
            &address,
            "--otlp-grpc-listen",
            &grpc,
            "--otlp-http-listen",
            &http,
            "--retention",
            "7h",
        ];
        let mut words = words.map(str::to_owned).to_vec();
        words.extend(data.map(|data| format!("--data-dir={}", data.display())));
        let address = address.parse().map_err(io::Error::other)?;
        let mut process = candor(name, &words, cpu, directory)?;
        process.first_answer(address, &get(address, "/healthz"))?;
        Ok(Self { process, address })
    }

    /// A connection for questions.
    pub(super) fn line(&self) -> Result<Line, Error> {
        Ok(Line::open(self.address, PATIENCE).map_err(ProcessError::io("cannot connect to the observatory"))?)
    }

    /// A question.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        get(self.address, path)
    }

    /// What its dashboards ask.
    pub(super) fn questions(&self) -> Result<BTreeSet<Question>, Error> {
        let mut found = BTreeSet::new();
        for path in panels::paths() {
            let broken = || ProcessError::io(format!("{path} of the observatory"));
            let mut line = self.line()?;
            let (_, text) = line.ask(&self.get(&path), |_| {}).map_err(broken())?;
            let dashboard = serde_json::from_slice(text).map_err(io::Error::from).map_err(broken())?;
            found.extend(panels::questions(&dashboard));
        }
        Ok(found)
    }

    /// Something that sends OTLP to it, through the port that takes everything.
    pub(super) fn sender(&self, door: Door) -> Result<Sender, Error> {
        let to = match door {
            Door::Http => To::Http(self.line()?),
            Door::Grpc => To::Grpc(
                Connection::open(self.address, PATIENCE).map_err(ProcessError::io("cannot connect over gRPC"))?,
            ),
        };
        Ok(Sender { to, address: self.address })
    }

    /// A metric of its own; 0 where there is none of that name and labels.
    pub(super) fn metric(&self, name: &str) -> Result<f64, Error> {
        Ok(exposition::value(self.address, name)?)
    }

    /// Fails unless a metric of its own says that all is there.
    pub(super) fn must_hold(&self, metric: &str, wanted: u64) -> Result<(), Error> {
        let held = self.metric(metric)?;
        if held < wanted as f64 {
            let why = io::Error::other(format!("{metric} is {held}, and {wanted} were sent"));
            return Err(ProcessError::io("the observatory did not take everything")(why).into());
        }
        Ok(())
    }
}

/// A connection that exports.
#[derive(Debug)]
pub(super) struct Sender {
    to: To,
    address: SocketAddr,
}

#[derive(Debug)]
enum To {
    Http(Line),
    Grpc(Connection),
}

impl Sender {
    /// Sends samples.
    pub(super) fn metrics(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send("/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", message)
    }

    /// Sends spans.
    pub(super) fn spans(&mut self, message: &[u8]) -> Result<(), Error> {
        self.send("/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", message)
    }

    fn send(&mut self, path: &str, method: &str, message: &[u8]) -> Result<(), Error> {
        let sent = match &mut self.to {
            To::Grpc(connection) => connection.call(method, message),
            To::Http(line) => {
                let (host, length) = (self.address, message.len());
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-protobuf\r\n\
                     content-length: {length}\r\n\r\n"
                );
                match line.ask(&[head.as_bytes(), message].concat(), |_| {}) {
                    Ok((200, _)) => Ok(()),
                    Ok((status, answer)) => {
                        Err(io::Error::other(format!("{status} {}", String::from_utf8_lossy(answer))))
                    }
                    Err(error) => Err(error),
                }
            }
        };
        Ok(sent.map_err(ProcessError::io("an export"))?)
    }
}
