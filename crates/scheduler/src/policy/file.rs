//! Policies as files.
//!
//! ```toml
//! name = "shortest-queue"
//! mode = "full"
//!
//! [default]
//! filters = [
//!     { filter = "schedulability" },
//!     { filter = "staleness", seconds = "$instance-staleness-seconds" },
//!     { filter = "metric", metric = "num_waiting_requests", below = 64 },
//! ]
//! failover-domain = "$failover-domain"
//! selector = { pick = "best", by = ["num_waiting_requests", "last_dispatch"] }
//! ```
//!
//! A table `[neutral]`, `[prefill]` or `[decode]` says how an instance of that type is chosen; `[default]` stands in for those
//! that are not there. A text that begins with `$` is the value of the flag of that name, and a number may be a product of
//! such: `"$ttft-slo * 0.9"`.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cluster::api::InferType;
use serde::Deserialize;

use super::select::Selector;
use super::{Dice, Domain, Filter, Metric, Mode, Policy, Stage};

/// The policies that need no file of the operator's, by name and mode.
pub const BUILT_IN: &[(&str, Mode, &str)] = &[
    ("load-balance", Mode::Full, include_str!("builtin/load-balance-full.toml")),
    ("load-balance", Mode::Lite, include_str!("builtin/load-balance-lite.toml")),
    ("cache-aware", Mode::Full, include_str!("builtin/cache-aware-full.toml")),
    ("cache-aware", Mode::Lite, include_str!("builtin/cache-aware-lite.toml")),
    ("flood", Mode::Full, include_str!("builtin/flood-full.toml")),
    ("flood", Mode::Lite, include_str!("builtin/flood-lite.toml")),
    ("round-robin", Mode::Full, include_str!("builtin/round-robin-full.toml")),
    ("round-robin", Mode::Lite, include_str!("builtin/round-robin-lite.toml")),
    ("power-of-two", Mode::Full, include_str!("builtin/power-of-two-full.toml")),
    ("power-of-two", Mode::Lite, include_str!("builtin/power-of-two-lite.toml")),
    ("least-latency", Mode::Full, include_str!("builtin/least-latency-full.toml")),
    ("least-latency", Mode::Lite, include_str!("builtin/least-latency-lite.toml")),
    ("slo", Mode::Full, include_str!("builtin/slo-full.toml")),
    ("adaptive-pd", Mode::Full, include_str!("builtin/adaptive-pd-full.toml")),
];

/// The built-in policy of this name for this mode, as a file.
#[must_use]
pub fn built_in(name: &str, mode: Mode) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, of, _)| *known == name && *of == mode).map(|(_, _, text)| *text)
}

/// What a file may refer to with `$`, and the seed of its dice.
#[derive(Clone, Copy)]
pub struct Parameters<'a> {
    /// The value of a flag.
    pub flag: &'a dyn Fn(&str) -> Option<String>,
    /// Seed of random choices.
    pub seed: u64,
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyFault(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    name: String,
    mode: RawMode,
    default: Option<RawStage>,
    neutral: Option<RawStage>,
    prefill: Option<RawStage>,
    decode: Option<RawStage>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    Full,
    Lite,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStage {
    #[serde(default)]
    filters: Vec<RawFilter>,
    failover_domain: Option<String>,
    selector: RawSelector,
}

#[derive(Deserialize)]
#[serde(tag = "filter", rename_all = "kebab-case", deny_unknown_fields)]
enum RawFilter {
    Schedulability,
    Staleness {
        seconds: Term,
    },
    Metric {
        metric: String,
        below: Term,
        #[serde(default)]
        hard: bool,
    },
    InferType {
        is: Vec<String>,
    },
    NotReserved {
        r#for: String,
    },
}

#[derive(Deserialize)]
#[serde(tag = "pick", rename_all = "kebab-case", deny_unknown_fields)]
enum RawSelector {
    Best {
        by: Vec<String>,
        of: Option<Term>,
    },
    Fixed {
        by: Vec<String>,
    },
    PowerOfTwo {
        by: Vec<String>,
    },
    #[serde(rename_all = "kebab-case")]
    Tightest {
        by: Vec<String>,
        below: Term,
        first_reserved: Option<String>,
    },
    RoundRobin,
}

/// A number, or the flag that has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Term {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl Policy {
    /// Puts a policy together as a file says.
    ///
    /// # Errors
    /// The first thing that is wrong, and where it is.
    pub fn parse(text: &str, parameters: Parameters<'_>) -> Result<Self, PolicyFault> {
        let raw: RawPolicy =
            toml::from_str(text).map_err(|error| PolicyFault(error.to_string().trim_end().to_owned()))?;
        let mode = match raw.mode {
            RawMode::Full => Mode::Full,
            RawMode::Lite => Mode::Lite,
        };
        let own = [raw.neutral, raw.prefill, raw.decode];
        let mut stages = Vec::with_capacity(own.len());
        for (infer_type, own) in InferType::ALL.into_iter().zip(&own) {
            let (place, stage) = match (own, &raw.default) {
                (Some(stage), _) => (infer_type.as_str(), stage),
                (None, Some(stage)) => ("default", stage),
                (None, None) => {
                    return Err(PolicyFault(format!("there is neither a table [{infer_type}] nor [default]")));
                }
            };
            let read = Read { place, mode, parameters, infer_type };
            stages.push(read.stage(stage)?);
        }
        let stages = stages.try_into().map_err(|_| PolicyFault("a policy has three stages".to_owned()))?;
        Ok(Self { name: raw.name, mode, stages })
    }
}

/// Reads one table.
struct Read<'a> {
    place: &'a str,
    mode: Mode,
    parameters: Parameters<'a>,
    infer_type: InferType,
}

impl Read<'_> {
    fn stage(&self, raw: &RawStage) -> Result<Stage, PolicyFault> {
        let (mut accepts, mut avoids) = (vec![self.infer_type], None);
        let mut filters = Vec::new();
        for filter in &raw.filters {
            match filter {
                RawFilter::InferType { is } => {
                    accepts = is.iter().map(|word| self.word(word)).collect::<Result<_, _>>()?;
                }
                RawFilter::NotReserved { r#for } => avoids = Some(self.word(r#for)?),
                other => filters.push(self.filter(other)?),
            }
        }
        let domain = match &raw.failover_domain {
            None => Domain::Instance,
            Some(text) => Domain::parse(&self.resolve(text)?).map_err(|problem| self.fault(problem))?,
        };
        // Each table rolls dice of its own.
        let seed = self.parameters.seed.wrapping_add(self.infer_type as u64);
        Ok(Stage { accepts, avoids, filters, domain, selector: self.selector(&raw.selector)?, dice: Dice::new(seed) })
    }

    fn filter(&self, raw: &RawFilter) -> Result<Filter, PolicyFault> {
        match raw {
            RawFilter::Schedulability | RawFilter::InferType { .. } | RawFilter::NotReserved { .. } => {
                Ok(Filter::Schedulability)
            }
            RawFilter::Staleness { seconds } => {
                let seconds = self.number(seconds)?;
                let most = Duration::try_from_secs_f64(seconds);
                most.map(Filter::Staleness).map_err(|_| self.fault(format!("`{seconds}` is no number of seconds")))
            }
            RawFilter::Metric { metric, below, hard } => {
                Ok(Filter::Below { metric: self.metric(metric)?, limit: self.number(below)?, hard: *hard })
            }
        }
    }

    fn selector(&self, raw: &RawSelector) -> Result<Selector, PolicyFault> {
        Ok(match raw {
            RawSelector::Best { by, of } => {
                let of = of.as_ref().map_or(Ok(1.0), |of| self.number(of))?;
                if of < 1.0 || of.fract() != 0.0 {
                    return Err(self.fault(format!("`of` is {of}; it must be a whole number from 1")));
                }
                Selector::Best { by: self.metrics(by)?, of: of as usize }
            }
            RawSelector::Fixed { by } => Selector::Fixed { by: self.metrics(by)?, last: AtomicU64::new(0) },
            RawSelector::PowerOfTwo { by } => Selector::PowerOfTwo { by: self.metrics(by)? },
            RawSelector::Tightest { by, below, first_reserved } => {
                let first = first_reserved.as_deref().map(|work| self.word(work)).transpose()?;
                Selector::Tightest { by: self.metrics(by)?, below: self.number(below)?, first }
            }
            RawSelector::RoundRobin => Selector::RoundRobin { turn: AtomicU64::new(0) },
        })
    }

    fn metrics(&self, names: &[String]) -> Result<Vec<Metric>, PolicyFault> {
        let mut metrics: Vec<Metric> = Vec::new();
        for name in names {
            let metric = self.metric(name)?;
            // A flag may name a metric that the file has as a tie-break anyway.
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        if metrics.is_empty() {
            return Err(self.fault("`by` names no metric"));
        }
        Ok(metrics)
    }

    fn metric(&self, name: &str) -> Result<Metric, PolicyFault> {
        let metric = Metric::parse(&self.resolve(name)?).map_err(|problem| self.fault(problem))?;
        if !metric.is_of(self.mode) {
            return Err(self.fault(format!("metric `{}` cannot be had in this mode", metric.as_str())));
        }
        Ok(metric)
    }

    fn number(&self, term: &Term) -> Result<f64, PolicyFault> {
        let number = match term {
            Term::Whole(number) => *number as f64,
            Term::Number(number) => *number,
            Term::Text(text) => {
                let mut factors = text.split('*').map(|factor| self.word::<f64>(factor.trim()));
                factors.try_fold(1.0, |product, factor| Ok::<_, PolicyFault>(product * factor?))?
            }
        };
        if number.is_nan() { Err(self.fault("NaN is no limit")) } else { Ok(number) }
    }

    fn word<T: FromStr<Err: Display>>(&self, text: &str) -> Result<T, PolicyFault> {
        let text = self.resolve(text)?;
        text.parse().map_err(|error| self.fault(format!("`{text}`: {error}")))
    }

    /// The text, or the value of the flag that it names.
    fn resolve(&self, text: &str) -> Result<String, PolicyFault> {
        match text.strip_prefix('$') {
            None => Ok(text.to_owned()),
            Some(flag) => (self.parameters.flag)(flag)
                .ok_or_else(|| self.fault(format!("`{text}`: there is no flag --{flag}, or it is not set"))),
        }
    }

    fn fault(&self, what: impl Display) -> PolicyFault {
        PolicyFault(format!("[{}]: {what}", self.place))
    }
}
