//! Flags of the llm-d sidecar that are known here and do nothing: those of what is not built yet, and of its log library.
//!
//! They are a table rather than fields, because all that is ever asked of them is whether somebody set one.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What becomes of a foreign flag that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A fault, unless it is set to this value, which asks for nothing.
    NotYet(&'static str),
    /// A warning: nothing depends on it.
    Ignored,
}

/// Not a value that anybody writes: the flag is a fault whatever it says.
const NEVER_INERT: &str = "\0";

const FLAGS: &[(&str, Fate)] = &[
    ("ec-connector", Fate::NotYet("")),
    ("p2p-connector-port", Fate::NotYet(NEVER_INERT)),
    ("enable-p2p-pull", Fate::NotYet("false")),
    ("enable-speculative-prefill", Fate::NotYet("false")),
    ("decode-chunk-size", Fate::NotYet("0")),
    ("tls-min-version", Fate::NotYet("")),
    ("tls-cipher-suites", Fate::NotYet("")),
    ("metrics-cert-dir", Fate::NotYet("")),
    ("moriio-write-mode", Fate::NotYet("false")),
    ("moriio-parallel-dispatch", Fate::NotYet("false")),
    ("moriio-parallel-decode-wait-timeout", Fate::NotYet(NEVER_INERT)),
    ("moriio-decode-notify-port", Fate::NotYet(NEVER_INERT)),
    ("moriio-decode-handshake-port", Fate::NotYet(NEVER_INERT)),
    ("moriio-prefill-notify-port", Fate::NotYet(NEVER_INERT)),
    ("moriio-prefill-handshake-port", Fate::NotYet(NEVER_INERT)),
    ("moriio-local-pod-ip", Fate::NotYet("")),
    ("moriio-tp-size", Fate::NotYet("1")),
    ("moriio-dp-size", Fate::NotYet("1")),
    ("moriio-dp-size-local", Fate::NotYet("0")),
    ("moriio-remote-hosts", Fate::NotYet("")),
    ("moriio-decode-hosts", Fate::NotYet("")),
    ("zap-log-level", Fate::Ignored),
    ("zap-encoder", Fate::Ignored),
    ("zap-devel", Fate::Ignored),
    ("zap-stacktrace-level", Fate::Ignored),
    ("zap-time-encoding", Fate::Ignored),
];

/// The fate of the flag `name`, if it is a foreign one.
pub(super) fn fate(name: &str) -> Option<Fate> {
    FLAGS.iter().find(|(flag, _)| *flag == name).map(|(_, fate)| *fate)
}

/// The foreign flags that were given on the command line, with their values.
#[derive(Clone, Debug, Default)]
pub(super) struct Foreign(pub(super) Vec<(String, String)>);

impl clap::Args for Foreign {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().fold(command, |command, (name, _)| {
            command.arg(
                Arg::new(*name)
                    .long(*name)
                    .hide(true)
                    .num_args(0..=1)
                    .default_missing_value("true")
                    .action(ArgAction::Append),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Foreign {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &'static str| {
            let values = matches.get_many::<String>(name).into_iter().flatten();
            values.map(move |value| (name.to_owned(), value.clone()))
        };
        Ok(Self(FLAGS.iter().flat_map(|(name, _)| given(name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
