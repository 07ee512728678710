//! Components are configured as an operator does it: by command line. So a fleet runs what a deployment runs, checked by
//! the same validation, and a flag that is renamed breaks the fleet's tests.

use std::fmt::Display;

/// Why a component's command line was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FlagsError {
    /// clap did not understand it.
    #[error("{component}: {error}")]
    Syntax {
        /// The component.
        component: &'static str,
        /// What clap said.
        error: Box<clap::Error>,
    },
    /// The component's validation found faults.
    #[error("{component}: {faults}")]
    Faults {
        /// The component.
        component: &'static str,
        /// All faults, separated by semicolons.
        faults: String,
    },
}

/// Reads `flags` as `component` would from its command line.
pub(crate) fn read<A: clap::Args>(component: &'static str, flags: &[String]) -> Result<A, FlagsError> {
    let command = A::augment_args(clap::Command::new(component)).no_binary_name(true);
    let matches = command.try_get_matches_from(flags);
    let syntax = |error| FlagsError::Syntax { component, error: Box::new(error) };
    A::from_arg_matches(&matches.map_err(syntax)?).map_err(syntax)
}

/// The faults that a component's validation found, as one error.
pub(crate) fn faults<F: Display>(component: &'static str, faults: &[F]) -> FlagsError {
    let lines: Vec<String> = faults.iter().map(F::to_string).collect();
    FlagsError::Faults { component, faults: lines.join("; ") }
}
