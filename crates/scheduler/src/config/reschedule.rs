//! The flags of rescheduling.

use super::Rescheduling;
use super::read::Reader;
use crate::policy::{Domain, Metric, Mode};
use crate::reschedule::{Amount, Cause, ORDERS, Selection, Settings, Trigger};

/// Reads them; whoever has no request moved is not told of a fault in how.
pub(super) fn read(read: &mut Reader<'_>, full: bool) -> Rescheduling {
    let colocated = read.boolean("colocated-rescheduling-mode") | read.boolean("enable-rescheduling");
    let standalone = read.boolean("standalone-rescheduling-mode");
    if !colocated && !standalone {
        return Rescheduling::Off;
    }
    let flag = if standalone { "standalone-rescheduling-mode" } else { "colocated-rescheduling-mode" };
    if colocated && standalone {
        read.fault(flag, "excludes --colocated-rescheduling-mode and --enable-rescheduling");
    }
    if !full {
        read.fault(flag, "needs --enable-full-mode-scheduling: instances of lite mode say nothing of themselves");
    }
    if standalone && read.args().text("leader-election") == Some("true") {
        read.fault(flag, "excludes --leader-election: it would take the lease from those that place requests. Run one");
    }
    let settings = settings(read);
    if standalone { Rescheduling::Standalone(settings) } else { Rescheduling::Colocated(settings) }
}

fn settings(read: &mut Reader<'_>) -> Settings {
    // Its number has no meaning here, but one that is none is a mistake.
    read.real("llumlet-grpc-connection-pool-size", -1.0);
    let timeout = match read.args().text("llumlet-grpc-timeout-seconds") {
        Some("-1") => std::time::Duration::from_secs(5),
        _ => read.seconds("llumlet-grpc-timeout-seconds"),
    };
    Settings {
        triggers: triggers(read),
        interval: read.milliseconds("rescheduling-interval-ms"),
        selection: selection(read),
        difference: read.real("rescheduling-load-balance-threshold", 0.0),
        within_unit: scope(read),
        staleness: read.seconds("instance-staleness-seconds"),
        domain: domain(read),
        timeout,
    }
}

fn triggers(read: &mut Reader<'_>) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    for name in read.required("rescheduling-policies").unwrap_or_default().split(',').map(str::trim) {
        let Some((infer_type, cause)) = name.rsplit_once('_') else {
            unknown(read, name);
            continue;
        };
        let cause = match (infer_type, cause) {
            ("neutral", "load") => {
                load(read, "rescheduling-neutral-load-metric", "rescheduling-neutral-load-threshold")
            }
            ("decode", "load") => load(read, "rescheduling-decode-load-metric", "rescheduling-decode-load-threshold"),
            (_, "failover") => Some(Cause::Failover),
            _ => None,
        };
        match (infer_type.parse(), cause) {
            (Ok(infer_type), Some(cause)) => triggers.push(Trigger { infer_type, cause }),
            _ => unknown(read, name),
        }
    }
    triggers
}

fn unknown(read: &mut Reader<'_>, name: &str) {
    let problem = if name.starts_with("binpacking") { "is not supported yet" } else { "is not known" };
    let known = "neutral_load, decode_load, neutral_failover, prefill_failover, decode_failover";
    read.fault("rescheduling-policies", format!("`{name}` {problem}; supported: {known}"));
}

fn load(read: &mut Reader<'_>, metric: &'static str, threshold: &'static str) -> Option<Cause> {
    let limit = read.real(threshold, 0.0);
    let parsed = Metric::parse(read.required(metric)?);
    let found = parsed.and_then(|found| {
        match found.is_of(Mode::Full) && !matches!(found, Metric::LastDispatch | Metric::KvCacheHitLen) {
            true => Ok(found),
            false => Err("this metric says nothing of an instance's load".to_owned()),
        }
    });
    // A metric that cannot be read has been said; there is a cause all the same.
    let by = found.map_err(|problem| read.fault(metric, problem)).unwrap_or(Metric::KvCacheUsageRatioProjected);
    Some(Cause::Load { by, limit })
}

fn selection(read: &mut Reader<'_>) -> Selection {
    let order = read.required("rescheduling-req-select-order").unwrap_or_default();
    let order = ORDERS.into_iter().find(|known| *known == order).unwrap_or_else(|| {
        read.fault(
            "rescheduling-req-select-order",
            format!("`{order}` is not known; supported: {}", ORDERS.join(", ")),
        );
        ORDERS[0]
    });
    let value = read.real("rescheduling-req-select-value", -1.0);
    let amount = match read.required("rescheduling-req-select-rule") {
        Some("NUM_REQ") => Some(Amount::Requests(value as i64)),
        Some("TOKEN") => Some(Amount::Tokens(value as i64)).filter(|_| value >= 0.0),
        Some("RATIO") => Some(Amount::Share(value as f32)).filter(|_| (0.0..=1.0).contains(&value)),
        other => {
            let problem = format!("`{}` is not known; supported: NUM_REQ, TOKEN, RATIO", other.unwrap_or_default());
            read.fault("rescheduling-req-select-rule", problem);
            Some(Amount::Tokens(0))
        }
    };
    let amount = amount.unwrap_or_else(|| {
        read.fault("rescheduling-req-select-value", "must be 0 or more, and no more than 1 for RATIO");
        Amount::Tokens(0)
    });
    Selection { order, amount }
}

fn scope(read: &mut Reader<'_>) -> bool {
    match read.required("rescheduling-load-balance-scope") {
        Some("unit") => true,
        Some("cluster") | None => false,
        Some(other) => {
            read.fault("rescheduling-load-balance-scope", format!("`{other}` is not known; supported: cluster, unit"));
            false
        }
    }
}

fn domain(read: &mut Reader<'_>) -> Domain {
    Domain::parse(read.required("failover-domain").unwrap_or_default()).unwrap_or_else(|problem| {
        read.fault("failover-domain", problem);
        Domain::Instance
    })
}
