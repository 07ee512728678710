//! The flags as data, a table per heading of `--help`.
//!
//! The tables say everything there is to say about a flag: its name, the environment variable beside it, its default,
//! its help. The command line, the settings file, `--help` and `/config` are all read off them, so that none of them can
//! know a flag that the others do not. Values stay text until [`super::Args::validate`] reads them: the parser of the
//! command line stops at the first bad value, and an operator wants to be told of all of them.

mod access;
mod admission;
mod clients;
mod disagg;
mod discovery;
mod engines;
mod experiments;
mod listening;
pub(super) mod refused;
mod requests;
mod scheduling;
mod tokens;
mod traffic;

/// One setting of the gateway.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The long name, without dashes; also the key in a settings file and in `/config`.
    pub(crate) name: &'static str,
    /// The environment variable that sets it where the command line does not.
    pub(crate) env: &'static str,
    /// The value where nobody says otherwise; `None` is "not set".
    pub(crate) default: Option<&'static str>,
    /// What stands for the value in `--help`.
    pub(crate) value: &'static str,
    /// The heading that it appears under in `--help`.
    pub(crate) group: Group,
    /// What it does.
    pub(crate) help: &'static str,
    /// Whether its value must not be shown.
    pub(crate) secret: bool,
}

/// The headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Where the gateway listens, and how it treats the connections of clients.
    Listening,
    /// Who may use it.
    Access,
    /// The engines.
    Engines,
    /// Engines that come and go.
    Discovery,
    /// Who chooses the engine of a request.
    Scheduling,
    /// Who may be placed now, and who waits.
    Admission,
    /// What happens to a request.
    Requests,
    /// How prompts are counted.
    Tokens,
    /// P/D protocols that the gateway runs itself.
    Disaggregation,
    /// Where requests go beside the cluster.
    Traffic,
    /// What is watched and borne of clients.
    Clients,
    /// For experiments; not shown in `--help`.
    Hidden,
}

impl Group {
    /// The text of the heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Listening => "Listening",
            Self::Access => "Access",
            Self::Engines => "Engines",
            Self::Discovery => "Discovery",
            Self::Scheduling => "Scheduling",
            Self::Admission => "Admission",
            Self::Requests => "Requests",
            Self::Tokens => "Tokens",
            Self::Disaggregation => "Disaggregation",
            Self::Traffic => "Traffic",
            Self::Clients => "Clients",
            Self::Hidden => "Experiments",
        }
    }
}

/// A flag with a default.
const fn flag(group: Group, [name, env, value, default, help]: [&'static str; 5]) -> Flag {
    Flag { name, env, default: Some(default), value, group, help, secret: false }
}

/// A flag that is not set unless somebody sets it.
const fn unset(group: Group, [name, env, value, help]: [&'static str; 4]) -> Flag {
    Flag { name, env, default: None, value, group, help, secret: false }
}

/// An [`unset`] flag whose value is nobody's business.
const fn secret(group: Group, text: [&'static str; 4]) -> Flag {
    let mut flag = unset(group, text);
    flag.secret = true;
    flag
}

/// The flag that names the settings file. It is the one flag that a settings file cannot set.
pub(crate) const SETTINGS_FILE: &str = "config";

/// The flag that holds settings itself.
pub(crate) const EXTRA_ARGS: &str = "extra-args";

/// Every flag of the gateway, in the order of `--help`. Names and defaults are Llumnix's where Llumnix has the flag, except
/// where the help says so.
pub(crate) fn flags() -> impl Iterator<Item = &'static Flag> {
    let tables = [
        listening::FLAGS,
        access::FLAGS,
        engines::FLAGS,
        discovery::FLAGS,
        scheduling::FLAGS,
        admission::FLAGS,
        requests::FLAGS,
        tokens::FLAGS,
        disagg::FLAGS,
        traffic::FLAGS,
        clients::FLAGS,
        experiments::FLAGS,
        refused::FLAGS,
    ];
    tables.into_iter().flatten()
}
