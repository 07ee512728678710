//! What a client asks for, as far as the head of its request tells.

use http::{HeaderMap, HeaderValue, Uri};
use openai::Api;
use telemetry::clock::Moment;

use crate::admission::Priority;
use crate::caller::Caller;

/// What is known of a request by its head.
pub(crate) struct Ask {
    pub(crate) api: Api,
    pub(crate) received: Moment,
    /// Path and query, as the client wrote them.
    pub(crate) uri: Uri,
    /// The fields that go on with every attempt.
    pub(crate) headers: HeaderMap,
    pub(crate) request_id: HeaderValue,
    /// Whether the client takes trailers.
    pub(crate) trailers: bool,
    pub(crate) priority: Priority,
    /// Who asks, where the client showed a key of this gateway's.
    pub(crate) caller: Option<Caller>,
}
