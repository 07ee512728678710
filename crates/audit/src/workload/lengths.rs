//! How long prompts and outputs are.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand::rngs::StdRng;

/// A distribution of lengths in tokens; a draw is never less than 1.
///
/// Written `constant:N`, `uniform:MIN:MAX`, `lognormal:MEDIAN:SIGMA[:MAX]`, `sharegpt-prompt` or `sharegpt-output`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lengths {
    /// Always the same.
    Constant(u32),
    /// Every whole number from the first to the second, equally likely.
    Uniform(u32, u32),
    /// `median * exp(sigma * normal)`, cut at `max`.
    LogNormal {
        /// The median in tokens, `exp(mu)`.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Longer draws become this many tokens.
        max: u32,
    },
}

impl Lengths {
    /// Prompts shaped like the ShareGPT conversations that LLM serving papers replay: the log-normal whose mean is the
    /// 161 tokens that the vLLM paper (SOSP 2023, figure 11) reports, with a tail up to the 1,024 tokens at which
    /// vLLM's own benchmark filters.
    pub const SHAREGPT_PROMPT: Self = Self::LogNormal { median: 72.0, sigma: 1.27, max: 1024 };
    /// Outputs of the same data set: mean 338 tokens before the cut at 1,024.
    pub const SHAREGPT_OUTPUT: Self = Self::LogNormal { median: 205.0, sigma: 1.0, max: 1024 };

    /// Draws one length.
    pub fn draw(self, rng: &mut StdRng) -> u32 {
        match self {
            Self::Constant(n) => n.max(1),
            Self::Uniform(min, max) => rng.random_range(min..=max).max(1),
            Self::LogNormal { median, sigma, max } => {
                let length = median * (sigma * normal(rng)).exp();
                // In range by the clamp, so the conversion cannot wrap.
                length.round().clamp(1.0, f64::from(max)) as u32
            }
        }
    }
}

/// A standard normal draw (Box-Muller; the second value is thrown away, draws are not what costs time here).
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * open_unit(rng).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Uniform over (0, 1], so that its logarithm is finite.
pub(super) fn open_unit(rng: &mut StdRng) -> f64 {
    1.0 - rng.random::<f64>()
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SHAREGPT_PROMPT => f.write_str("sharegpt-prompt"),
            Self::SHAREGPT_OUTPUT => f.write_str("sharegpt-output"),
            Self::Constant(n) => write!(f, "constant:{n}"),
            Self::Uniform(min, max) => write!(f, "uniform:{min}:{max}"),
            Self::LogNormal { median, sigma, max } => write!(f, "lognormal:{median}:{sigma}:{max}"),
        }
    }
}

/// Why a length distribution could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not constant:N, uniform:MIN:MAX, lognormal:MEDIAN:SIGMA[:MAX], sharegpt-prompt or sharegpt-output, \
     with lengths of 1 to 1000000 tokens"
)]
pub struct LengthsError(String);

impl FromStr for Lengths {
    type Err = LengthsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || LengthsError(text.to_owned());
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["sharegpt-prompt"] => Some(Self::SHAREGPT_PROMPT),
            ["sharegpt-output"] => Some(Self::SHAREGPT_OUTPUT),
            ["constant", n] => tokens(n).map(Self::Constant),
            ["uniform", min, max] => match (tokens(min), tokens(max)) {
                (Some(min), Some(max)) if min <= max => Some(Self::Uniform(min, max)),
                _ => None,
            },
            ["lognormal", median, sigma] => log_normal(median, sigma, "1000000"),
            ["lognormal", median, sigma, max] => log_normal(median, sigma, max),
            _ => None,
        }
        .ok_or_else(wrong)
    }
}

fn log_normal(median: &str, sigma: &str, max: &str) -> Option<Lengths> {
    let median = f64::from(tokens(median)?);
    let sigma: f64 = sigma.parse().ok()?;
    let max = tokens(max)?;
    (sigma.is_finite() && sigma >= 0.0).then_some(Lengths::LogNormal { median, sigma, max })
}

fn tokens(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| (1..=1_000_000).contains(n))
}
