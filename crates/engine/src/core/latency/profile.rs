//! Measured latencies in the format of Llumnix's profiling files.
//!
//! ```json
//! {"ttft": {"results": [{"tokens_num": 128, "p50": 21.4}, …]},
//!  "tpot": {"results": [{"batch_size": 8, "tokens_per_request": 512, "p50": 9.7}, …]}}
//! ```
//! Values are milliseconds; of the statistics only the median is used. `ttft` and `tpot` may also be the lists
//! themselves. Llumnix gives up outside the measured grid; here the outermost slope goes on, because a simulation
//! cannot answer "infinite".

use super::Work;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not JSON, or not of this shape.
    #[error("not a profile: {0}")]
    Shape(#[from] serde_json::Error),
    /// A table without a usable row.
    #[error("the profile has no `{0}` results")]
    Empty(&'static str),
    /// A measurement that is not a duration.
    #[error("the profile's `{table}` results contain {value}, which is not a duration in milliseconds")]
    Value {
        /// Which table.
        table: &'static str,
        /// The value found.
        value: f64,
    },
}

/// Interpolated step durations.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Prompt tokens → milliseconds.
    ttft: Curve,
    /// Batch size → (tokens per request → milliseconds).
    tpot: Vec<(f64, Curve)>,
}

impl Profile {
    /// Reads a profiling file.
    ///
    /// # Errors
    /// When it is not of the documented shape, has an empty table or a value that is no duration.
    pub fn parse(json: &[u8]) -> Result<Self, ProfileError> {
        let file: File = serde_json::from_slice(json)?;
        let ttft = Curve::new("ttft", file.ttft.rows().iter().map(|row| (row.tokens_num, row.p50)))?;
        let mut batches: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for row in file.tpot.rows() {
            let points = batches.entry(row.batch_size).or_default();
            points.push((row.tokens_per_request, row.p50));
        }
        let tpot = batches
            .into_iter()
            .map(|(batch, points)| Ok((batch as f64, Curve::new("tpot", points.into_iter())?)))
            .collect::<Result<Vec<_>, ProfileError>>()?;
        if tpot.is_empty() {
            return Err(ProfileError::Empty("tpot"));
        }
        Ok(Self { ttft, tpot })
    }

    /// Duration of a step with this `work`.
    #[must_use]
    pub fn step(&self, work: &Work) -> Duration {
        let mut millis = 0.0;
        if work.prefill_tokens > 0 {
            millis += self.ttft.at(work.prefill_tokens as f64);
        }
        if work.decode_sequences > 0 {
            let batch = f64::from(work.decode_sequences);
            millis += self.decode_millis(batch, work.decode_context as f64 / batch);
        }
        Duration::from_secs_f64(millis.max(0.0) / 1e3)
    }

    /// Bilinear: along the context within each neighbouring batch size, then between the two.
    fn decode_millis(&self, batch: f64, tokens: f64) -> f64 {
        let at = |index: usize| {
            let (x, curve) = &self.tpot[index];
            (*x, curve.at(tokens))
        };
        match self.tpot.len() {
            1 => at(0).1,
            len => {
                let right = self.tpot.partition_point(|(x, _)| *x < batch).clamp(1, len - 1);
                line(at(right - 1), at(right), batch)
            }
        }
    }
}

/// A piecewise linear function whose ends go on.
#[derive(Clone, Debug, PartialEq)]
struct Curve(Vec<(f64, f64)>);

impl Curve {
    fn new(table: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Result<Self, ProfileError> {
        let mut points: Vec<_> = points.collect();
        if points.is_empty() {
            return Err(ProfileError::Empty(table));
        }
        if let Some((x, y)) = points.iter().find(|(x, y)| !valid(*x) || !valid(*y)) {
            return Err(ProfileError::Value { table, value: if valid(*x) { *y } else { *x } });
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by_key(|point| point.0);
        Ok(Self(points))
    }

    fn at(&self, x: f64) -> f64 {
        match self.0.as_slice() {
            [] => 0.0,
            [only] => only.1,
            points => {
                let right = points.partition_point(|point| point.0 < x).clamp(1, points.len() - 1);
                // A falling outermost slope must not run below zero.
                line(points[right - 1], points[right], x).max(0.0)
            }
        }
    }
}

fn valid(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn line(a: (f64, f64), b: (f64, f64), x: f64) -> f64 {
    a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
}

#[derive(Deserialize)]
struct File {
    ttft: Table<TtftRow>,
    tpot: Table<TpotRow>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Table<Row> {
    Wrapped { results: Vec<Row> },
    Bare(Vec<Row>),
}

impl<Row> Table<Row> {
    fn rows(&self) -> &[Row] {
        match self {
            Self::Wrapped { results } | Self::Bare(results) => results,
        }
    }
}

#[derive(Deserialize)]
struct TtftRow {
    tokens_num: f64,
    p50: f64,
}

#[derive(Deserialize)]
struct TpotRow {
    batch_size: u64,
    tokens_per_request: f64,
    p50: f64,
}
