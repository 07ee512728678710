//! Measured durations, in the files of upstream's profiler.
//!
//! ```json
//! {"results": [{"tokens_num": 128, "mean": 22.0, "p50": 21.4, "p95": 24.1, "p99": 25.0}]}
//! {"results": [{"batch_size": 8, "tokens_per_request": 512, "p50": 9.7}]}
//! ```
//!
//! The first is what a prompt of so many tokens takes, the second what a step takes in which so many requests of so many
//! tokens decode; milliseconds, of which the median is used. The list may stand alone, or under `ttft` and `tpot` in one file.
//! Beyond what was measured the outermost slope goes on. More work never takes less time: what was measured so is noise.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What prompts take, by their tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefills(Curve);

/// What steps take, by the requests that decode and the tokens of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Decodes(Vec<(f64, Curve)>);

/// Why a file is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFault {
    /// It is not JSON, or another one.
    #[error("it is no profile: {0}")]
    Shape(#[from] serde_json::Error),
    /// It says nothing.
    #[error("it has no results")]
    Empty,
    /// A number is none of its kind.
    #[error("it has {0}, which is neither a number of milliseconds nor of tokens or requests")]
    Number(f64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File<Row> {
    Results { results: Vec<Row> },
    Ttft { ttft: Box<File<Row>> },
    Tpot { tpot: Box<File<Row>> },
    Bare(Vec<Row>),
}

impl<Row> File<Row> {
    fn rows(self) -> Vec<Row> {
        match self {
            Self::Results { results } => results,
            Self::Ttft { ttft: inner } | Self::Tpot { tpot: inner } => inner.rows(),
            Self::Bare(rows) => rows,
        }
    }
}

#[derive(Deserialize)]
struct PrefillRow {
    tokens_num: f64,
    p50: f64,
}

#[derive(Deserialize)]
struct DecodeRow {
    batch_size: f64,
    tokens_per_request: f64,
    p50: f64,
}

impl Prefills {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ProfileFault`].
    pub fn parse(json: &[u8]) -> Result<Self, ProfileFault> {
        let rows = serde_json::from_slice::<File<PrefillRow>>(json)?.rows();
        Ok(Self(Curve::new(rows.iter().map(|row| (row.tokens_num, row.p50)))?))
    }

    /// Milliseconds.
    #[must_use]
    pub fn at(&self, tokens: f64) -> f64 {
        self.0.at(tokens)
    }
}

impl Decodes {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ProfileFault`].
    pub fn parse(json: &[u8]) -> Result<Self, ProfileFault> {
        let rows = serde_json::from_slice::<File<DecodeRow>>(json)?.rows();
        let mut batches: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for row in rows {
            if !is_number(row.batch_size) || row.batch_size < 1.0 {
                return Err(ProfileFault::Number(row.batch_size));
            }
            batches.entry(row.batch_size as u64).or_default().push((row.tokens_per_request, row.p50));
        }
        let curves = batches.into_iter().map(|(batch, points)| Ok((batch as f64, Curve::new(points.into_iter())?)));
        let curves = curves.collect::<Result<Vec<_>, ProfileFault>>()?;
        if curves.is_empty() { Err(ProfileFault::Empty) } else { Ok(Self(curves)) }
    }

    /// Milliseconds: along the tokens at each batch, then between the two nearest batches. A batch smaller than any that was
    /// measured takes as long as the smallest.
    #[must_use]
    pub fn at(&self, batch: f64, tokens_each: f64) -> f64 {
        let mut left: Option<(f64, f64)> = None;
        let mut right: Option<(f64, f64)> = None;
        for (size, curve) in &self.0 {
            if right.is_some_and(|(size, _)| size >= batch) {
                break;
            }
            left = right;
            let least = right.map_or(0.0, |(_, ms)| ms);
            right = Some((*size, curve.at(tokens_each).max(least)));
        }
        match (left, right) {
            (Some(left), Some(right)) => line(left, right, batch),
            (_, Some((_, only))) => only,
            _ => 0.0,
        }
    }
}

/// A line from point to point that never falls and whose ends go on.
#[derive(Clone, Debug, PartialEq)]
struct Curve(Vec<(f64, f64)>);

impl Curve {
    fn new(points: impl Iterator<Item = (f64, f64)>) -> Result<Self, ProfileFault> {
        let mut points: Vec<_> = points.collect();
        if points.is_empty() {
            return Err(ProfileFault::Empty);
        }
        if let Some(wrong) = points.iter().flat_map(|&(x, y)| [x, y]).find(|&number| !is_number(number)) {
            return Err(ProfileFault::Number(wrong));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by_key(|point| point.0);
        let mut most = 0.0_f64;
        for (_, ms) in &mut points {
            most = most.max(*ms);
            *ms = most;
        }
        Ok(Self(points))
    }

    fn at(&self, x: f64) -> f64 {
        match self.0.as_slice() {
            [] => 0.0,
            [(_, only)] => *only,
            points => {
                let right = points.partition_point(|point| point.0 < x).clamp(1, points.len() - 1);
                line(points[right - 1], points[right], x).max(0.0)
            }
        }
    }
}

fn is_number(number: f64) -> bool {
    number.is_finite() && number >= 0.0
}

fn line(a: (f64, f64), b: (f64, f64), x: f64) -> f64 {
    a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
}
