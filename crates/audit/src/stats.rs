//! Exact quantiles. A run has thousands of requests, not millions: keeping every value costs less than explaining the
//! error of an estimate.

/// A sorted set of measurements in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Quantiles(Vec<u64>);

impl Quantiles {
    /// Sorts `values`.
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The smallest value that at least a `share` of all values do not exceed (nearest rank), `None` without values.
    pub fn at(&self, share: f64) -> Option<u64> {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied()
    }

    /// The largest value.
    pub fn max(&self) -> Option<u64> {
        self.0.last().copied()
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        let sum: u128 = self.0.iter().map(|&v| u128::from(v)).sum();
        (!self.0.is_empty()).then(|| sum as f64 / self.0.len() as f64)
    }
}

impl FromIterator<u64> for Quantiles {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        Self::of(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
