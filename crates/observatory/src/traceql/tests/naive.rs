//! Queries of the same shapes as the recorded ones, on made-up spans, against an evaluation that knows no index, no block and
//! no symbol.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use telemetry::clock::Moment;

use crate::traceql::metrics::{Window, run};
use crate::traceql::search::{Bounds, search};
use crate::traceql::{Literal, parse};
use crate::traces::{Limits, SpanStore};

const SECOND: u64 = 1_000_000_000;
const SERVICES: [&str; 3] = ["gateway", "proxy", "engine"];
const NAMES: [&str; 4] = ["request", "prefill", "decode", "decode.step"];
const TEXTS: [&str; 3] = ["nixl", "lmcache", ""];

/// A span as simple as possible.
#[derive(Clone, Debug)]
struct Plain {
    trace: u8,
    parent: Option<usize>,
    service: &'static str,
    name: &'static str,
    second: u64,
    millis: u64,
    whole: Option<i64>,
    real: Option<f64>,
    text: Option<&'static str>,
    failed: bool,
}

fn span() -> impl Strategy<Value = Plain> {
    let place =
        (0..6_u8, prop::option::of(0..40_usize), prop::sample::select(&SERVICES[..]), prop::sample::select(&NAMES[..]));
    let times = (1..300_u64, 0..2000_u64);
    let attributes = (
        prop::option::of(-3..200_i64),
        prop::option::of(-4.0..150.0_f64),
        prop::option::of(prop::sample::select(&TEXTS[..])),
        any::<bool>(),
    );
    (place, times, attributes).prop_map(
        |((trace, parent, service, name), (second, millis), (whole, real, text, failed))| Plain {
            trace,
            parent,
            service,
            name,
            second,
            millis,
            whole,
            real,
            text,
            failed,
        },
    )
}

/// A condition, its text, and its truth.
#[derive(Clone, Debug)]
enum Condition {
    Service(&'static str),
    Name(&'static str),
    NameLike(&'static str),
    Whole(&'static str, i64),
    Real(&'static str, f64),
    /// Compared with a constant of the other type: never true.
    WholeWithReal(f64),
    Text(bool, &'static str),
    Slower(u64),
    Failed(bool),
    HasReal(bool),
    /// Arithmetic compares numbers as numbers.
    Sum(i64),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    /// Of a disjunction: other negations are subject to Tempo's trap.
    Neither(Box<Self>, Box<Self>),
}

fn condition() -> impl Strategy<Value = Condition> {
    let sign = prop::sample::select(&["=", "!=", "<", "<=", ">", ">="][..]);
    let leaf = prop_oneof![
        prop::sample::select(&SERVICES[..]).prop_map(Condition::Service),
        prop::sample::select(&NAMES[..]).prop_map(Condition::Name),
        prop::sample::select(&["decode", "decode.*", "pre.*|req.*"][..]).prop_map(Condition::NameLike),
        (sign.clone(), -3..200_i64).prop_map(|(sign, bound)| Condition::Whole(sign, bound)),
        (sign, -4.0..150.0_f64).prop_map(|(sign, bound)| Condition::Real(sign, bound)),
        (-3.0..150.0_f64).prop_map(Condition::WholeWithReal),
        (any::<bool>(), prop::sample::select(&TEXTS[..])).prop_map(|(equal, text)| Condition::Text(equal, text)),
        (0..2000_u64).prop_map(Condition::Slower),
        any::<bool>().prop_map(Condition::Failed),
        any::<bool>().prop_map(Condition::HasReal),
        (-5..300_i64).prop_map(Condition::Sum),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let two = (inner.clone(), inner).prop_map(|(a, b)| (Box::new(a), Box::new(b)));
        prop_oneof![
            two.clone().prop_map(|(a, b)| Condition::And(a, b)),
            two.clone().prop_map(|(a, b)| Condition::Or(a, b)),
            two.prop_map(|(a, b)| Condition::Neither(a, b)),
        ]
    })
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Self::Service(service) => format!("resource.service.name = \"{service}\""),
            Self::Name(name) => format!("name = \"{name}\""),
            Self::NameLike(pattern) => format!("name =~ \"{pattern}\""),
            Self::Whole(sign, bound) => format!("span.whole {sign} {bound}"),
            Self::Real(sign, bound) => format!("span.real {sign} {bound:?}"),
            Self::WholeWithReal(bound) => format!("span.whole > {bound:?}"),
            Self::Text(true, text) => format!(".text = \"{text}\""),
            Self::Text(false, text) => format!(".text != \"{text}\""),
            Self::Slower(millis) => format!("duration > {millis}ms"),
            Self::Failed(true) => "status = error".to_owned(),
            Self::Failed(false) => "status != error".to_owned(),
            Self::HasReal(true) => "span.real != nil".to_owned(),
            Self::HasReal(false) => "span.real = nil".to_owned(),
            Self::Sum(bound) => format!("span.whole + span.real > {bound}"),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) || ({})", a.text(), b.text()),
            Self::Neither(a, b) => format!("!({} || ({}))", a.text(), b.text()),
        }
    }

    fn holds(&self, span: &Plain) -> bool {
        match self {
            Self::Service(service) => span.service == *service,
            Self::Name(name) => span.name == *name,
            Self::NameLike("decode") => span.name == "decode",
            Self::NameLike("decode.*") => span.name.starts_with("decode"),
            Self::NameLike(_) => span.name.starts_with("pre") || span.name.starts_with("req"),
            Self::Whole(sign, bound) => span.whole.is_some_and(|whole| compared(sign, &whole, bound)),
            Self::Real(sign, bound) => span.real.is_some_and(|real| compared(sign, &real, bound)),
            Self::WholeWithReal(_) => false,
            Self::Text(equal, text) => span.text.is_some_and(|held| (held == *text) == *equal),
            Self::Slower(millis) => span.millis > *millis,
            Self::Failed(failed) => span.failed == *failed,
            Self::HasReal(there) => span.real.is_some() == *there,
            Self::Sum(bound) => match (span.whole, span.real) {
                (Some(whole), Some(real)) => whole as f64 + real > *bound as f64,
                _ => false,
            },
            Self::And(a, b) => a.holds(span) && b.holds(span),
            Self::Or(a, b) => a.holds(span) || b.holds(span),
            Self::Neither(a, b) => !(a.holds(span) || b.holds(span)),
        }
    }
}

fn compared<T: PartialOrd>(sign: &str, a: &T, b: &T) -> bool {
    match sign {
        "=" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    }
}

fn attribute(key: &str, value: Otlp) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn stored(spans: &[Plain]) -> SpanStore {
    let store = SpanStore::new(Limits::default());
    for (number, plain) in spans.iter().enumerate() {
        let start = plain.second * SECOND;
        let attributes = [
            plain.whole.map(|whole| attribute("whole", Otlp::IntValue(whole))),
            plain.real.map(|real| attribute("real", Otlp::DoubleValue(real))),
            plain.text.map(|text| attribute("text", Otlp::StringValue(text.to_owned()))),
        ];
        let span = Span {
            trace_id: vec![plain.trace + 1; 16],
            span_id: (number as u64 + 1).to_be_bytes().to_vec(),
            parent_span_id: plain.parent.map_or_else(Vec::new, |parent| (parent as u64 + 1).to_be_bytes().to_vec()),
            name: plain.name.to_owned(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + plain.millis * 1_000_000,
            attributes: attributes.into_iter().flatten().collect(),
            status: Some(Status { code: if plain.failed { 2 } else { 0 }, message: String::new() }),
            ..Span::default()
        };
        let service = attribute("service.name", Otlp::StringValue(plain.service.to_owned()));
        let group = ResourceSpans {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        store.insert(&[group], Moment::from_nanos(1));
    }
    store
}

/// The numbers of all spans that a query finds.
fn found(store: &SpanStore, query: &str) -> BTreeSet<usize> {
    let bounds = Bounds { start: 0, end: u64::MAX, traces: 100, spans: 1000, shortest: 0, longest: u64::MAX };
    let query = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let found = search(&store.read(), &query, &bounds);
    let spans = found.traces.iter().flat_map(|trace| &trace.sets).flat_map(|set| &set.spans);
    spans.map(|span| span.id.0 as usize - 1).collect()
}

fn is_below(spans: &[Plain], number: usize, above: &Condition) -> bool {
    let mut place = number;
    for _ in 0..spans.len() {
        let Some(parent) = spans[place].parent.filter(|&parent| is_there(spans, place, parent)) else { return false };
        if above.holds(&spans[parent]) {
            return true;
        }
        place = parent;
    }
    false
}

/// Whether a parent is another span, and of the same trace.
fn is_there(spans: &[Plain], place: usize, parent: usize) -> bool {
    parent != place && spans.get(parent).is_some_and(|above| above.trace == spans[place].trace)
}

/// Series by label, each with its samples by time in seconds.
type Sampled = BTreeMap<String, BTreeMap<u64, f64>>;

fn sampled(store: &SpanStore, query: &str, window: &Window) -> Sampled {
    let query = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let answer = run(&store.read(), &query, window, 10).expect("a metrics query");
    let series = answer.series.iter().map(|series| {
        let label = match &series.labels[0].1 {
            Literal::Text(text) => text.clone(),
            other => other.to_string(),
        };
        let values =
            series.values.iter().enumerate().filter_map(|(at, value)| Some((window.millis(at) / 1000, (*value)?)));
        (label, values.collect())
    });
    series.collect()
}

/// When a sample at a multiple of `step` counts a span: the first one not before it.
fn sample_of(second: u64, step: u64) -> u64 {
    second.div_ceil(step) * step
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_search_finds_what_the_conditions_say(
        spans in prop::collection::vec(span(), 1..40),
        one in condition(),
        other in condition(),
    ) {
        let store = stored(&spans);
        let (a, b) = (one.text(), other.text());
        let holding = |condition: &Condition| -> BTreeSet<usize> {
            (0..spans.len()).filter(|&number| condition.holds(&spans[number])).collect()
        };
        prop_assert_eq!(found(&store, &format!("{{ {a} }}")), holding(&one), "{}", a);
        let either: BTreeSet<usize> = holding(&one).union(&holding(&other)).copied().collect();
        prop_assert_eq!(found(&store, &format!("{{ {a} }} || {{ {b} }}")), either);
        let children: BTreeSet<usize> = holding(&other).into_iter().filter(|&number| {
            let parent = spans[number].parent.filter(|&parent| is_there(&spans, number, parent));
            parent.is_some_and(|parent| one.holds(&spans[parent]))
        }).collect();
        prop_assert_eq!(found(&store, &format!("{{ {a} }} > {{ {b} }}")), children, "{} > {}", a, b);
        let below: BTreeSet<usize> =
            holding(&other).into_iter().filter(|&number| is_below(&spans, number, &one)).collect();
        prop_assert_eq!(found(&store, &format!("{{ {a} }} >> {{ {b} }}")), below, "{} >> {}", a, b);
        let both: BTreeSet<usize> = either_where_both(&spans, &one, &other);
        prop_assert_eq!(found(&store, &format!("{{ {a} }} && {{ {b} }}")), both, "{} && {}", a, b);
    }

    #[test]
    fn numbers_over_time_are_those_of_the_spans(
        spans in prop::collection::vec(span(), 1..40),
        condition in condition(),
        step in 1..90_u64,
    ) {
        let store = stored(&spans);
        let text = condition.text();
        let window = Window::range(SECOND, 300 * SECOND, step * SECOND).expect("few samples");
        let held: Vec<&Plain> = spans.iter().filter(|span| condition.holds(span)).collect();

        let mut counts = Sampled::new();
        let mut sums = Sampled::new();
        let mut greatest = Sampled::new();
        let mut reals = BTreeMap::new();
        let times: Vec<u64> = (0..window.samples()).map(|at| window.millis(at) / 1000).collect();
        for span in &held {
            let at = sample_of(span.second, step);
            let series = counts.entry(span.service.to_owned()).or_insert_with(|| times.iter().map(|&at| (at, 0.0)).collect());
            *series.entry(at).or_default() += 1.0;
            let longest = greatest.entry("max_over_time".to_owned()).or_default().entry(at).or_default();
            *longest = f64::max(*longest, span.millis as f64 / 1000.0);
            if let Some(real) = span.real {
                *sums.entry(span.service.to_owned()).or_default().entry(at).or_default() += real;
                *reals.entry((span.service, at)).or_insert(0.0) += 1.0;
            }
        }
        let query = |function: &str| format!("{{ {text} }} | {function}");
        let by = "by (resource.service.name)";
        prop_assert_eq!(&sampled(&store, &query(&format!("count_over_time() {by}")), &window), &counts);
        close(&sampled(&store, &query(&format!("sum_over_time(span.real) {by}")), &window), &sums)?;
        close(&sampled(&store, &query("max_over_time(duration)"), &window), &greatest)?;
        let mut averages = sums;
        for (service, samples) in &mut averages {
            samples.iter_mut().for_each(|(at, sum)| *sum /= reals[&(SERVICES.into_iter().find(|known| known == service).unwrap(), *at)]);
        }
        close(&sampled(&store, &query(&format!("avg_over_time(span.real) {by}")), &window), &averages)?;

        let whole = Window::instant(SECOND, 301 * SECOND);
        let rate = sampled(&store, &query("rate()"), &whole)["rate"].values().next().copied();
        prop_assert_eq!(rate, Some(held.len() as f64 / 300.0));
    }
}

/// The spans of either condition, of those traces that have some of each.
fn either_where_both(spans: &[Plain], one: &Condition, other: &Condition) -> BTreeSet<usize> {
    let has = |trace: u8, condition: &Condition| spans.iter().any(|span| span.trace == trace && condition.holds(span));
    let both = |span: &Plain| has(span.trace, one) && has(span.trace, other);
    (0..spans.len())
        .filter(|&number| both(&spans[number]) && (one.holds(&spans[number]) || other.holds(&spans[number])))
        .collect()
}

/// Equal but for the order in which floating-point numbers were added.
fn close(ours: &Sampled, theirs: &Sampled) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (label, samples) in theirs {
        prop_assert_eq!(ours[label].keys().collect::<Vec<_>>(), samples.keys().collect::<Vec<_>>());
        for (at, value) in samples {
            prop_assert!((ours[label][at] - value).abs() < 1e-9 * value.abs().max(1.0), "{} at {}", label, at);
        }
    }
    Ok(())
}
