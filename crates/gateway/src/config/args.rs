//! From the command line, the environment and a settings file to one value per flag, and where each came from.

use std::collections::BTreeMap;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::flags::{EXTRA_ARGS, Flag, Group, SETTINGS_FILE, flags};
use super::{Fault, extra};

/// Where the value of a setting came from. Later ones win over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Nobody said anything.
    Default,
    /// The settings file (`--config`).
    File,
    /// An environment variable.
    Env,
    /// The command line.
    Flag,
    /// `--extra-args`.
    Extra,
}

impl Source {
    /// The word for it in `/config`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Env => "env",
            Self::Flag => "flag",
            Self::Extra => "extra-args",
        }
    }
}

/// The text of a setting, and where it came from.
#[derive(Clone)]
pub(super) struct Setting {
    /// The value as it was written; `None` where it is not set.
    pub(super) value: Option<String>,
    /// Who wrote it.
    pub(super) source: Source,
}

/// The gateway's arguments, not yet looked at: text by flag name.
///
/// Implements [`clap::Args`], so a binary flattens it into its own command line.
#[derive(Clone)]
pub struct Args {
    pub(super) settings: BTreeMap<&'static str, Setting>,
}

impl std::fmt::Debug for Args {
    /// Says nothing of the values: some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").finish_non_exhaustive()
    }
}

impl Default for Args {
    /// What an empty command line and an empty environment say.
    fn default() -> Self {
        let settings = flags().map(|flag| {
            let value = flag.default.map(str::to_owned);
            (flag.name, Setting { value, source: Source::Default })
        });
        Self { settings: settings.collect() }
    }
}

impl Args {
    /// Sets flag `name` as the command line would; for programs that start a gateway themselves.
    ///
    /// # Panics
    /// In a debug build, when there is no such flag.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let known = self.settings.get_mut(name);
        debug_assert!(known.is_some(), "no flag named {name}");
        if let Some(setting) = known {
            *setting = Setting { value: Some(value.into()), source: Source::Flag };
        }
        self
    }

    /// The text of a flag; empty counts as not set, as for an environment variable.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.settings.get(name)?.value.as_deref()?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// Lays the settings file, if one is named, under what the command line and the environment said.
    pub(super) fn merge_file(&mut self, faults: &mut Vec<Fault>) {
        let Some(path) = self.text(SETTINGS_FILE).map(str::to_owned) else {
            return;
        };
        match read_file(Path::new(&path)) {
            Ok(entries) => self.merge(entries, faults),
            Err(problem) => faults.push(Fault::new(SETTINGS_FILE, format!("{path}: {problem}"))),
        }
    }

    /// Lays what `--extra-args` says over everything else.
    pub(super) fn merge_extra(&mut self, faults: &mut Vec<Fault>) {
        let Some(text) = self.text(EXTRA_ARGS).map(str::to_owned) else {
            return;
        };
        let pairs = extra::parse(&text).unwrap_or_else(|problem| {
            faults.push(Fault::new(EXTRA_ARGS, problem));
            Vec::new()
        });
        for (name, value) in pairs {
            // The settings file has been read by now, and extra settings hold none of their own.
            let known = self.settings.get_mut(name.as_str()).filter(|_| name != SETTINGS_FILE && name != EXTRA_ARGS);
            match known {
                Some(setting) if setting.source == Source::Extra => {
                    faults.push(Fault::new(EXTRA_ARGS, format!("`{name}` is there twice")));
                }
                Some(setting) => *setting = Setting { value: Some(value), source: Source::Extra },
                None => faults.push(Fault::new(EXTRA_ARGS, format!("`{name}` is no setting that it can hold"))),
            }
        }
    }

    fn merge(&mut self, entries: BTreeMap<String, serde_yaml_ng::Value>, faults: &mut Vec<Fault>) {
        for (name, value) in entries {
            let known = self.settings.get_mut(name.as_str());
            let Some(setting) = known.filter(|_| name != SETTINGS_FILE) else {
                faults.push(Fault::new(SETTINGS_FILE, format!("the file sets `{name}`, which is no setting")));
                continue;
            };
            let Some(value) = scalar(&value) else {
                faults.push(Fault::new(SETTINGS_FILE, format!("`{name}` is neither a value nor a list of values")));
                continue;
            };
            if setting.source < Source::File {
                *setting = Setting { value: Some(value), source: Source::File };
            }
        }
    }
}

fn read_file(path: &Path) -> Result<BTreeMap<String, serde_yaml_ng::Value>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())
}

/// The text of a YAML value as the command line would have it: lists are joined with commas.
fn scalar(value: &serde_yaml_ng::Value) -> Option<String> {
    use serde_yaml_ng::Value;
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Sequence(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            Some(items?.join(","))
        }
        Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// The flag as clap wants it told. A boolean may stand alone (`--exact-token-accounting`) or say its value after `=`.
fn argument(flag: &'static Flag) -> Arg {
    let argument = Arg::new(flag.name)
        .long(flag.name)
        .env(flag.env)
        .value_name(flag.value)
        .help(flag.help)
        .help_heading(flag.group.heading())
        .action(ArgAction::Set)
        .overrides_with(flag.name)
        .hide(flag.group == Group::Hidden)
        .hide_env_values(flag.secret);
    let argument = match flag.default {
        Some(default) => argument.default_value(default),
        None => argument,
    };
    // klog's, which is given as `-v 4` or `--v=4`.
    let argument = if flag.name == "v" { argument.short('v') } else { argument };
    if flag.value == "BOOL" {
        return argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    argument
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        command.args(flags().map(argument))
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
        for flag in flags() {
            let source = match matches.value_source(flag.name) {
                Some(ValueSource::CommandLine) => Source::Flag,
                Some(ValueSource::EnvVariable) => Source::Env,
                _ => continue,
            };
            let value = matches.get_one::<String>(flag.name).cloned();
            self.settings.insert(flag.name, Setting { value, source });
        }
        Ok(())
    }
}
