//! Who asks.

use std::sync::Arc;

use http::Extensions;

/// Whose request it is, as far as its head tells: put into the request's extensions by whoever proved it, before the
/// request reaches [`crate::exchange`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller(Arc<str>);

impl Caller {
    /// The caller of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The caller that a request's head was found to come from; `None` where nobody asked who it was.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// Its name, to be kept.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The caller's name, never its key: fit for spans and settings.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}
