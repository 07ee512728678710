//! The standard query APIs: the seam between what is stored and what is shown.

pub mod prometheus;
pub mod tempo;
