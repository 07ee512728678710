//! What the load consists of: a seeded sequence of planned requests.
//!
//! Everything random about a request is drawn here, in the order of the sequence and from one seeded generator, never
//! while the load runs. So the same seed gives the same requests whatever the server's speed, and two runs can be
//! compared; only *when* a request starts depends on the run.

mod lengths;
mod plan;
mod prompts;
#[cfg(test)]
mod tests;

pub use lengths::{Lengths, LengthsError};
pub use plan::{Cancel, Inject, Plan, Planned, Share, Workload};
pub use prompts::{Prompts, PromptsError};
