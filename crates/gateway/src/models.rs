//! Which models the engines serve.
//!
//! `GET /v1/models` is answered with the union of what the engines say at that moment. The gateway also asks for itself, now
//! and then, because a metric may carry a model's name only when an engine serves it: a label that clients choose freely is a
//! way to exhaust the memory of whoever collects it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use proxy::client::Client;
use proxy::{Body, Drain};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use telemetry::clock::{self, Moment};
use telemetry::gateway::Gateway as GatewayTelemetry;
use tokio::task::JoinSet;

use crate::endpoints::{CurrentRoster, Instance};

/// How long an engine may take to say which models it serves.
const PATIENCE: Duration = Duration::from_secs(2);

/// How old an answer may be that readiness is judged by.
const FRESH: Duration = Duration::from_secs(1);

/// How often an engine that has not answered is asked again.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// The longest list that is read, bytes.
const LONGEST_LIST: usize = 4 << 20;

/// The list as OpenAI shapes it. Models stay the JSON that the engine wrote.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    #[serde(default)]
    object: String,
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// What the engines said when they were asked.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The models by name, each as the first engine that serves it describes it.
    models: BTreeMap<String, Box<RawValue>>,
    /// How many engines gave a list.
    listed: usize,
    /// How many engines answered at all.
    pub(crate) answered: usize,
    /// The first answer that was no list: its status and body.
    refused: Option<(StatusCode, Bytes)>,
}

/// What one engine said; `None` where it did not answer.
type Said = Option<(StatusCode, Bytes)>;

impl Survey {
    fn add(&mut self, said: Said) {
        let Some((status, body)) = said else { return };
        self.answered += 1;
        let list = if status.is_success() { serde_json::from_slice::<List>(&body).ok() } else { None };
        let Some(list) = list else {
            self.refused.get_or_insert((status, body));
            return;
        };
        self.listed += 1;
        for model in list.data {
            if let Ok(named) = serde_json::from_str::<Named>(model.get()) {
                self.models.entry(named.id).or_insert(model);
            }
        }
    }

    /// The union as a JSON list; else the answer of an engine that refused; else nothing.
    pub(crate) fn into_answer(self) -> Said {
        if self.listed == 0 {
            return self.refused.filter(|(status, _)| !status.is_success());
        }
        let list = List { object: "list".to_owned(), data: self.models.into_values().collect() };
        let json = serde_json::to_vec(&list).unwrap_or_default();
        Some((StatusCode::OK, json.into()))
    }
}

/// Asks engines for their models, and tells telemetry the names.
pub(crate) struct Models {
    client: Client,
    roster: CurrentRoster,
    key: Option<HeaderValue>,
    telemetry: GatewayTelemetry,
    /// The last time the gateway asked for itself, and how many engines answered.
    last: tokio::sync::Mutex<Option<(Moment, usize)>>,
}

impl Models {
    /// Knows no model yet. `key` is what the gateway itself presents to engines.
    pub(crate) fn new(
        client: Client,
        roster: CurrentRoster,
        key: Option<HeaderValue>,
        telemetry: GatewayTelemetry,
    ) -> Self {
        Self { client, roster, key, telemetry, last: tokio::sync::Mutex::default() }
    }

    /// Asks all engines at once, in the name of whoever `authorization` stands for.
    pub(crate) async fn survey(&self, authorization: Option<&HeaderValue>) -> Survey {
        let mut asked = JoinSet::new();
        for instance in self.roster.load().serving() {
            let request = question(authorization);
            asked.spawn(ask(self.client.clone(), Arc::clone(instance), request));
        }
        let mut survey = Survey::default();
        while let Some(said) = asked.join_next().await {
            survey.add(said.unwrap_or_default());
        }
        survey
    }

    /// Asks for the gateway itself. A model that was served once keeps its name in the metrics: an engine that restarts must
    /// not rename them.
    pub(crate) async fn refresh(&self) -> usize {
        self.refresh_unless(|_| false).await
    }

    /// How many engines answered, within the last second.
    pub(crate) async fn answering(&self) -> usize {
        self.refresh_unless(|asked| clock::now() - asked < FRESH).await
    }

    /// Callers wait for a survey under way rather than begin their own.
    async fn refresh_unless(&self, fresh: impl Fn(Moment) -> bool) -> usize {
        let mut last = self.last.lock().await;
        if let Some((asked, answered)) = *last
            && fresh(asked)
        {
            return answered;
        }
        let survey = self.survey(self.key.as_ref()).await;
        survey.models.keys().for_each(|model| self.telemetry.serve(model));
        *last = Some((clock::now(), survey.answered));
        survey.answered
    }

    /// Asks again every `interval`, until the drain begins; more often as long as an engine has not answered, since its
    /// models have no name in the metrics until then.
    pub(crate) async fn keep_fresh(self: Arc<Self>, interval: Duration, drain: Drain) {
        let mut pause = interval.min(IMPATIENCE);
        while tokio::time::timeout(pause, drain.begun()).await.is_err() {
            let complete = self.refresh().await == self.roster.load().serving().len();
            pause = if complete { interval } else { interval.min(IMPATIENCE) };
        }
    }
}

fn question(authorization: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = http::Uri::from_static("/v1/models");
    if let Some(authorization) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    request
}

async fn ask(client: Client, instance: Arc<Instance>, request: Request<Body>) -> Said {
    let asking = async {
        let response = client.send(instance.endpoint.target(), request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = proxy::body::collect(body, LONGEST_LIST).await.ok()?;
        Some((parts.status, body))
    };
    tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
}

#[cfg(test)]
mod tests;
