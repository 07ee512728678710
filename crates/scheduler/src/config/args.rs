//! The command line as text by flag name.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::flags::{self, Flag, HEADINGS, Support};

/// The scheduler's arguments, not yet looked at. Implements [`clap::Args`], so a binary flattens it into its own command line.
#[derive(Clone, Default)]
pub struct Args {
    given: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for Args {
    /// Says nothing of the values: some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.given.keys()).finish()
    }
}

impl Args {
    /// Sets a flag as the command line would.
    ///
    /// # Panics
    /// In a debug build, when there is no such flag.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let known = flags::find(name);
        debug_assert!(known.is_some(), "no flag named {name}");
        if let Some(flag) = known {
            self.given.insert(flag.name, value.into());
        }
        self
    }

    /// The text of a flag, given or by default; empty counts as not set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let default = || flags::find(name).and_then(|flag| flag.default);
        let text = self.given.get(name).map(String::as_str).or_else(default)?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// Whether somebody gave the flag.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|text| !text.trim().is_empty())
    }
}

fn argument(heading: &'static str, flag: &'static Flag) -> Arg {
    let mut argument = Arg::new(flag.name)
        .long(flag.name)
        .value_name(flag.value)
        .help(flag.help)
        .help_heading(heading)
        .action(ArgAction::Set)
        .overrides_with(flag.name)
        .hide(flag.support == Support::Later);
    if let Some(env) = flag.env {
        argument = argument.env(env).hide_env_values(true);
    }
    if let Some(default) = flag.default.filter(|default| !default.is_empty()) {
        argument = argument.default_value(default);
    }
    if flag.value == "BOOL" {
        return argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    argument
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let arguments =
            |(heading, flags): (&'static str, &'static [Flag])| flags.iter().map(move |flag| argument(heading, flag));
        command.args(HEADINGS.into_iter().flat_map(arguments))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for flag in flags::all() {
            let given =
                matches!(matches.value_source(flag.name), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
            if let Some(text) = matches.get_one::<String>(flag.name).filter(|_| given) {
                self.given.insert(flag.name, text.clone());
            }
        }
        Ok(())
    }
}
