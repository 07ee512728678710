//! The settings of a P/D protocol that the gateway runs itself.

use coordinator::{OnPrefillFailure, Patience, Settings};
use pd::{Order, Protocol};

use super::read::Reader;
use crate::disagg::DisaggConfig;

/// Reads them all; a prefill response may be as long as a request, `max_body` bytes. `None` where sidecars run the protocol.
pub(super) fn read(read: &mut Reader<'_>, max_body: usize) -> Option<DisaggConfig> {
    let staged = read.boolean("separate-pd-scheduling");
    let bootstrap = read.number("pd-bootstrap-port", 1..=u16::MAX);
    let patience = Patience {
        retries: read.number("prefill-max-retries", 0..=1000),
        backoff: read.duration("prefill-retry-backoff"),
        limit: read.positive("prefill-timeout"),
        max_body,
    };
    let on_prefill_failure = on_prefill_failure(read);
    let name = read.text("pd-disagg-protocol")?;
    let protocol = match Protocol::from_gateway_flag(name, staged) {
        Ok(protocol) => protocol.with_bootstrap_port(bootstrap),
        Err(error) => {
            read.fault("pd-disagg-protocol", error.to_string());
            return None;
        }
    };
    if staged && protocol.order() == Order::Concurrent {
        read.fault(
            "separate-pd-scheduling",
            format!("{protocol} sends both legs at once, so both must be placed at once"),
        );
    }
    Some(DisaggConfig(Settings { protocol, patience, on_prefill_failure, exact_token_accounting: false }))
}

fn on_prefill_failure(read: &mut Reader<'_>) -> OnPrefillFailure {
    match read.text("on-prefill-failure") {
        None | Some("error") => OnPrefillFailure::Error,
        Some("decode-only") => OnPrefillFailure::DecodeOnly,
        Some(other) => {
            read.fault("on-prefill-failure", format!("`{other}` is neither error nor decode-only"));
            OnPrefillFailure::Error
        }
    }
}
