//! Sums, quantiles, and numbers as Go writes them.

/// Kahan's summation in Neumaier's form, as Prometheus uses it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kahan {
    sum: f64,
    lost: f64,
}

impl Kahan {
    pub(super) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += match self.sum.abs() >= value.abs() {
            true => (self.sum - sum) + value,
            false => (value - sum) + self.sum,
        };
        self.sum = sum;
    }

    /// The sum without what was lost.
    pub(super) fn high(self) -> f64 {
        self.sum
    }

    /// The sum; an infinite one stays infinite.
    pub(super) fn sum(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum_plain() }
    }

    /// The sum with what was lost, whatever it is.
    pub(super) fn sum_plain(self) -> f64 {
        self.sum + self.lost
    }
}

impl FromIterator<f64> for Kahan {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::default();
        values.into_iter().for_each(|value| sum.add(value));
        sum
    }
}

/// The φ-quantile, interpolated between the two values beside it; NaN counts as the smallest.
pub(super) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)));
    let rank = phi * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let lower = lower as usize;
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// A number as text, without an exponent.
pub(super) fn plain(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value.is_nan() => "NaN".to_owned(),
        value => value.to_string(),
    }
}

/// A number as Prometheus' JSON has it: with an exponent only where it is very small or very large.
pub(crate) fn json(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-6..1e21).contains(&size) {
        return plain(value);
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        // Go writes the exponent with a sign and two digits at least; its JSON drops the zero of a negative one.
        Some((digits, exponent)) if exponent.starts_with('-') => format!("{digits}e{exponent}"),
        Some((digits, exponent)) => format!("{digits}e+{exponent}"),
        None => text,
    }
}
