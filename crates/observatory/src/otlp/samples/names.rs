//! Names, as OpenTelemetry's compatibility rules with Prometheus make them.

/// What a family is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// Units as UCUM writes them and as Prometheus does.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// Units after a slash.
const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The name of a family.
pub(super) fn family(name: &str, unit: &str, kind: Kind) -> String {
    let mut words: Vec<String> = words(name, |c| c == ':');
    // What stands in braces is a remark.
    let (unit, per) = unit.split_once('/').unwrap_or((unit, ""));
    let plain = |unit: &str| if unit.contains('{') { String::new() } else { unit.trim().to_owned() };
    let (unit, per) = (plain(unit), plain(per));
    if unit == "1" {
        if kind == Kind::Gauge {
            append(&mut words, "ratio");
        }
    } else {
        append(&mut words, known(UNITS, &unit));
    }
    if !per.is_empty() {
        append(&mut words, "per");
        append(&mut words, known(PER, &per));
    }
    if kind == Kind::Counter {
        words.retain(|word| word != "total");
        words.push("total".to_owned());
    }
    let name = words.join("_");
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Appends a unit, where the name does not hold it already.
fn append(words: &mut Vec<String>, unit: &str) {
    for word in self::words(unit, |_| false) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
}

fn known<'a>(units: &[(&str, &'a str)], unit: &'a str) -> &'a str {
    units.iter().find(|(ucum, _)| *ucum == unit).map_or(unit, |(_, name)| name)
}

/// Runs of letters, digits and whatever else is allowed.
fn words(text: &str, allowed: fn(char) -> bool) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !allowed(c));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The name of a label.
pub(super) fn label(key: &str) -> String {
    let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("key_{name}"),
        // Names with two underscores before them are Prometheus' own.
        Some('_') if name.starts_with("__") => format!("key{name}"),
        _ => name,
    }
}
