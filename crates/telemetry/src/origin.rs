//! Where a request's clock starts: the origin of the true TTFT.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::clock::{Moment, nanos};

/// Header `x-candor-elapsed-us`: microseconds since the gateway's `received`, at the moment of dispatch.
pub const ELAPSED_US: HeaderName = HeaderName::from_static("x-candor-elapsed-us");
/// Header `x-request-start`: `t=<unix s|ms|us>`, as load balancers send it.
pub const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// Neither header may claim more: an older request would have been given up by everyone.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Who said when the request began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtftOrigin {
    /// The gateway, by a duration: no clock but its own is involved.
    Gateway,
    /// A load balancer, by a wall-clock time: as good as the two hosts' clocks agree.
    RequestStart,
    /// Nobody: the coordinator's own `received`.
    #[default]
    Coordinator,
}

/// The origin of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who said so.
    pub source: TtftOrigin,
    /// How long before the coordinator's `received`.
    pub elapsed: Duration,
}

impl TtftOrigin {
    /// The attribute value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::RequestStart => "request_start",
            Self::Coordinator => "coordinator",
        }
    }
}

impl Origin {
    /// Reads the origin from a request received at `received`. Implausible values (over ten minutes, or in the future) are
    /// passed over for the next best source.
    pub fn from_headers(headers: &HeaderMap, received: Moment) -> Self {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
        let elapsed = text(ELAPSED_US).and_then(|us| us.parse().ok()).map(Duration::from_micros);
        if let Some(elapsed) = elapsed.filter(|&elapsed| elapsed <= MAX_AGE) {
            return Self { source: TtftOrigin::Gateway, elapsed };
        }
        let start = text(REQUEST_START).and_then(unix_nanos);
        match start.and_then(|start| received.unix_nanos().checked_sub(start)) {
            Some(age) if age <= nanos(MAX_AGE) => {
                Self { source: TtftOrigin::RequestStart, elapsed: Duration::from_nanos(age) }
            }
            _ => Self::default(),
        }
    }
}

/// `t=<number>` in seconds (decimals allowed), milliseconds or microseconds; which one its size tells.
fn unix_nanos(text: &str) -> Option<u64> {
    let number: f64 = text.strip_prefix("t=").unwrap_or(text).parse().ok()?;
    let to_nanos = match number {
        n if !n.is_finite() || n <= 0.0 => return None,
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        _ => return None,
    };
    Some((number * to_nanos) as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{ELAPSED_US, Origin, REQUEST_START, TtftOrigin};
    use crate::clock::now;

    fn headers(elapsed: Option<&str>, start: Option<String>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(elapsed) = elapsed {
            headers.insert(ELAPSED_US, HeaderValue::from_str(elapsed).unwrap());
        }
        if let Some(start) = start {
            headers.insert(REQUEST_START, HeaderValue::try_from(start).unwrap());
        }
        headers
    }

    #[test]
    fn the_gateways_duration_comes_first() {
        let received = now();
        let both = headers(Some("2000"), Some(format!("t={}", received.unix_nanos() / 1000 - 9_000_000)));
        let origin = Origin::from_headers(&both, received);
        assert_eq!(origin, Origin { source: TtftOrigin::Gateway, elapsed: Duration::from_millis(2) });
    }

    #[test]
    fn request_start_is_read_in_each_unit() {
        let received = now();
        let began = received.unix_nanos() as f64 / 1e9 - 3.0;
        for text in [format!("t={began:.6}"), format!("t={:.0}", began * 1e3), format!("{:.0}", began * 1e6)] {
            let origin = Origin::from_headers(&headers(None, Some(text.clone())), received);
            assert_eq!(origin.source, TtftOrigin::RequestStart, "{text}");
            assert!((origin.elapsed.as_secs_f64() - 3.0).abs() < 0.002, "{text}");
        }
    }

    #[test]
    fn the_implausible_is_passed_over() {
        let received = now();
        let future = format!("t={}", received.unix_nanos() / 1000 + 60_000_000);
        for bad in [
            headers(Some("-5"), None),
            headers(Some("600000001"), None),
            headers(Some("soon"), Some(future)),
            headers(None, Some("t=12".into())),
            headers(None, Some("t=1e300".into())),
        ] {
            assert_eq!(Origin::from_headers(&bad, received), Origin::default());
        }
    }
}
