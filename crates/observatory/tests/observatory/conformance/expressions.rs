//! The expressions.

/// Written one by one: what each shows is in how it differs from its neighbours.
const LISTED: &str = include_str!("expressions.txt");

/// Functions of a window, for each of the windows.
const OF_WINDOW: [&str; 18] = [
    "rate(W)",
    "increase(W)",
    "irate(W)",
    "delta(W)",
    "idelta(W)",
    "deriv(W)",
    "changes(W)",
    "resets(W)",
    "avg_over_time(W)",
    "sum_over_time(W)",
    "min_over_time(W)",
    "max_over_time(W)",
    "count_over_time(W)",
    "stddev_over_time(W)",
    "stdvar_over_time(W)",
    "last_over_time(W)",
    "quantile_over_time(0.3, W)",
    "predict_linear(W, 600)",
];
const WINDOWS: [&str; 7] = [
    "requests_total[1m]",
    "requests_total[5m]",
    "temperature[3m]",
    "rare_total[20m]",
    "requests_total{code=\"500\"}[10m] offset 7m",
    "temperature[10m:45s]",
    "sum by (job) (requests_total)[4m:]",
];

/// Functions of a vector, for each of the vectors.
const OF_VECTOR: [&str; 27] = [
    "abs(V)",
    "ceil(V)",
    "floor(V)",
    "round(V)",
    "round(V, 0.3)",
    "exp(V)",
    "ln(V)",
    "log2(V)",
    "log10(V)",
    "sqrt(V)",
    "sgn(V)",
    "sin(V)",
    "cos(V)",
    "tan(V)",
    "asin(V)",
    "atan(V)",
    "sinh(V)",
    "cosh(V)",
    "tanh(V)",
    "asinh(V)",
    "deg(V)",
    "rad(V)",
    "clamp(V, -3, 5)",
    "clamp_min(V, 2)",
    "clamp_max(V, 2)",
    "timestamp(V)",
    "-V",
];
const VECTORS: [&str; 2] = ["temperature", "up / 3 - temperature{room=\"hall\"} * on () group_right () up"];

/// All expressions.
pub(super) fn all() -> Vec<String> {
    let listed = LISTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned);
    let of_windows = OF_WINDOW.iter().flat_map(|call| WINDOWS.iter().map(|window| call.replace('W', window)));
    let of_vectors =
        OF_VECTOR.iter().flat_map(|call| VECTORS.iter().map(|vector| call.replace('V', &format!("({vector})"))));
    listed.chain(of_windows).chain(of_vectors).collect()
}

/// Expressions that Prometheus refuses, as a text or with these samples.
pub(super) fn faulty() -> impl Iterator<Item = &'static str> {
    [
        "",
        "up{",
        "rate(up)",
        "sum(up[5m])",
        "up[5m] + 1",
        "up offset",
        "nothing_of_this_name(up)",
        "up and 1",
        "1 == 2",
        "{}",
        "{job=~\".*\"}",
        "histogram_quantile(up)",
        "sum by (job (up)",
        "up{job=~\"*\"}",
        "abs({__name__=~\"up|memory_bytes\"})",
        "rate({__name__=~\"latency_seconds_(sum|count)\"}[5m])",
        "requests_total + on (job) up",
        "requests_total / ignoring (code) memory_bytes",
        "up + on (job) group_left () memory_bytes",
        "label_replace(up, \"a-b\", \"\", \"job\", \"\")",
        "label_replace(up, \"instance\", \"x\", \"job\", \".*\")",
        "count_values(\"a-b\", up)",
    ]
    .into_iter()
}
