//! Sends a fleet's spans on to an OTLP receiver.
//!
//! The audit needs the spans in files, a person wants them in Tempo; so the files are the one export, and what has been
//! written to them is sent on. A line of such a file is an OTLP/JSON export request, so sending it is one POST. What a
//! receiver does not take is offered again in the next round: a receiver that is started late misses nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use proxy::{Body, Client, ClientConfig, Target};

use crate::traces::Traces;

/// Where OTLP/HTTP receivers take spans, where an endpoint names no path of its own.
const TRACES_PATH: &str = "/v1/traces";

/// An OTLP receiver, and how much of each file it has been sent.
pub(crate) struct Forwarder {
    client: Client,
    target: Target,
    path: String,
    traces: Traces,
    sent: BTreeMap<PathBuf, u64>,
}

impl Forwarder {
    /// A forwarder to an OTLP/HTTP endpoint such as `http://localhost:4318`.
    pub(crate) fn new(endpoint: &str, traces: Traces) -> anyhow::Result<Self> {
        let uri: Uri = endpoint.parse().with_context(|| format!("--otlp-endpoint {endpoint:?}"))?;
        let authority = uri.authority().with_context(|| format!("--otlp-endpoint {endpoint:?} names no host"))?;
        let scheme = uri.scheme_str().unwrap_or("http");
        let target = Target::parse(&format!("{scheme}://{authority}"))?;
        let path = match uri.path() {
            "" | "/" => TRACES_PATH.to_owned(),
            path => path.to_owned(),
        };
        Ok(Self { client: Client::new(ClientConfig::default()), target, path, traces, sent: BTreeMap::new() })
    }

    /// Sends what has been written since the last round.
    pub(crate) async fn round(&mut self) -> anyhow::Result<()> {
        for file in self.traces.files()? {
            let from = self.sent.get(&file).copied().unwrap_or(0);
            let written = since(&file, from)?;
            let mut offset = from;
            for line in written.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
                self.post(Bytes::copy_from_slice(line)).await?;
                offset += line.len() as u64;
                self.sent.insert(file.clone(), offset);
            }
        }
        Ok(())
    }

    async fn post(&self, line: Bytes) -> anyhow::Result<()> {
        let mut request = Request::new(Body::Full(line));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse()?;
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let response = self.client.send(&self.target, request).await?;
        if !response.status().is_success() {
            bail!("{} answered {}", self.target.authority(), response.status());
        }
        Ok(())
    }
}

fn since(file: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(file)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut written = Vec::new();
    file.read_to_end(&mut written)?;
    Ok(written)
}
