//! Copies of requests for another deployment, to try it under real traffic.
//!
//! A copy is the request as the client sent it, for the same path; its answer is read and dropped. Nothing waits for it:
//! copies run in a pool of their own, bounded by number and by the bytes that they hold, and one for which there is no room
//! is dropped and counted. Which requests are copied, and where to, a file says; it is read again when it changes.

mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode};
use proxy::body::next_frame;
use proxy::{Body, Client, Drain};
use telemetry::gateway::{Gateway as Telemetry, MirrorOutcome};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ask::Ask;
use crate::headers::REQUEST_ID;
use crate::reload;
pub(crate) use file::{Settings, SettingsError};

/// Copies under way at most.
const COPIES: usize = 256;
/// What the bodies of all copies under way may hold, in units of [`UNIT`].
const MOST_UNITS: usize = 64 << 10;
/// Bytes are counted in units, so that the count fits the semaphore's.
const UNIT: usize = 4 << 10;
/// How long a copy may take where the file sets no limit: as long as an engine may take to begin its answer.
const UNLIMITED: Duration = Duration::from_secs(900);

/// Where the settings are, and what they said at the start.
#[derive(Clone)]
pub struct MirrorConfig {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) first: Arc<Settings>,
}

impl std::fmt::Debug for MirrorConfig {
    /// Without the text, which may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorConfig").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The mirror at work.
pub(crate) struct Mirror {
    /// Where the settings are, and the text that was read of them first.
    file: (PathBuf, String),
    settings: ArcSwap<Settings>,
    client: Client,
    telemetry: Telemetry,
    drain: Drain,
    copies: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

impl Mirror {
    pub(crate) fn new(config: &MirrorConfig, client: Client, telemetry: Telemetry, drain: Drain) -> Arc<Self> {
        Arc::new(Self {
            file: (config.path.clone(), config.text.clone()),
            settings: ArcSwap::new(Arc::clone(&config.first)),
            client,
            telemetry,
            drain,
            copies: Arc::new(Semaphore::new(COPIES)),
            units: Arc::new(Semaphore::new(MOST_UNITS)),
        })
    }

    /// Sends a copy of a request with this body, if the settings and chance want one.
    pub(crate) fn copy(&self, ask: &Ask, body: &Bytes) {
        let settings = self.settings.load_full();
        if !settings.wants(rand::random()) {
            return;
        }
        let Some(room) = self.room(body.len()) else {
            self.telemetry.mirrored(MirrorOutcome::Dropped);
            if settings.log {
                tracing::info!(request_id = ?ask.request_id, "no room for a copy of the request");
            }
            return;
        };
        let Some(to) = &settings.target else { return };
        let mut request = Request::new(Body::from(body.clone()));
        let path = ask.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.uri(&path);
        *request.headers_mut() = ask.headers.clone();
        let fields = request.headers_mut();
        fields.insert(REQUEST_ID, ask.request_id.clone());
        if ask.caller.is_some() {
            fields.remove(AUTHORIZATION);
        }
        if let Some(authorization) = &settings.authorization {
            fields.insert(AUTHORIZATION, authorization.clone());
        }
        let (client, telemetry, drain) = (self.client.clone(), self.telemetry.clone(), self.drain.clone());
        self.drain.spawn(async move {
            let _room = room;
            let sent = send(&client, &settings, request);
            // A copy is nothing that a shutdown waits for.
            let outcome = tokio::select! {
                outcome = sent => outcome,
                () = drain.begun() => MirrorOutcome::Dropped,
            };
            telemetry.mirrored(outcome);
        });
    }

    /// Room for a copy of `length` bytes, until it is dropped.
    fn room(&self, length: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        let units = u32::try_from(length.div_ceil(UNIT)).ok()?;
        let copy = Arc::clone(&self.copies).try_acquire_owned().ok()?;
        let held = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some([copy, held])
    }

    /// Follows the file until the drain begins. What cannot be used changes nothing, and is said in the log.
    pub(crate) async fn follow(self: Arc<Self>) {
        let (path, text) = (self.file.0.clone(), self.file.1.clone());
        let take = |text: &str| {
            let settings = Settings::parse(text.as_bytes()).map_err(|error| error.to_string())?;
            self.settings.store(Arc::new(settings));
            Ok(())
        };
        reload::watch(path, text, self.drain.clone(), take).await;
    }
}

/// Sends a copy and reads its answer to the end.
async fn send(client: &Client, settings: &Settings, request: Request<Body>) -> MirrorOutcome {
    let Some(to) = &settings.target else { return MirrorOutcome::Failed };
    let exchange = async {
        let response = client.send(to.target(), request).await?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = next_frame(&mut body).await {
            frame?;
        }
        Ok::<StatusCode, proxy::ClientError>(status)
    };
    let ended = tokio::time::timeout(settings.timeout.unwrap_or(UNLIMITED), exchange).await;
    let outcome = match &ended {
        Ok(Ok(status)) if status.is_success() => MirrorOutcome::Answered,
        Ok(Ok(_)) => MirrorOutcome::Refused,
        Ok(Err(_)) => MirrorOutcome::Failed,
        Err(_) => MirrorOutcome::TimedOut,
    };
    if settings.log {
        match ended {
            Ok(Ok(status)) => tracing::info!(to = to.name(), %status, "a copy was answered"),
            Ok(Err(error)) => tracing::info!(to = to.name(), %error, "a copy failed"),
            Err(_) => tracing::info!(to = to.name(), "a copy took too long"),
        }
    }
    outcome
}
