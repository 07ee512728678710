//! The flags as data, a table per heading of `--help`, from which the command line, `--help` and the checks are made.
//!
//! Names and defaults are upstream's where upstream has the flag, except where the help says so. Values stay text until
//! [`super::Args::validate`] reads them, so that an operator is told of every fault at once.

mod cms;
mod later;
mod listening;
mod lite;
mod policy;
mod predict;
mod prefix;
mod replicas;
mod rescheduling;

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It does what it says.
    Full,
    /// It belongs to something that does not exist yet: turning that on, or tuning it, is refused.
    Later,
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// The value where nobody says otherwise; `None` is "not set".
    pub(super) default: Option<&'static str>,
    /// What stands for the value in `--help`; `BOOL` may stand alone.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
    /// The environment variable of a secret, which should not be on a command line.
    pub(super) env: Option<&'static str>,
    pub(super) support: Support,
}

/// The headings of `--help`, and what stands under each.
pub(super) const HEADINGS: [(&str, &[Flag]); 9] = [
    ("Listening", listening::FLAGS),
    ("Policy", policy::FLAGS),
    ("Prefix cache", prefix::FLAGS),
    ("Full mode: the CMS", cms::FLAGS),
    ("Full mode: predictions", predict::FLAGS),
    ("Lite mode: discovery and reports", lite::FLAGS),
    ("Several replicas", replicas::FLAGS),
    ("Rescheduling", rescheduling::FLAGS),
    ("Not supported yet", later::FLAGS),
];

/// Every flag.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    HEADINGS.into_iter().flat_map(|(_, flags)| flags)
}

/// The flag of this name.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.name == name)
}

const fn flag([name, value, default, help]: [&'static str; 4]) -> Flag {
    Flag { name, default: Some(default), value, help, env: None, support: Support::Full }
}

const fn unset([name, value, help]: [&'static str; 3]) -> Flag {
    Flag { name, default: None, value, help, env: None, support: Support::Full }
}

const fn secret([name, env, help]: [&'static str; 3]) -> Flag {
    Flag { name, default: None, value: "PASSWORD", help, env: Some(env), support: Support::Full }
}

const fn later(name: &'static str, value: &'static str) -> Flag {
    Flag { name, default: None, value, help: "Not supported yet", env: None, support: Support::Later }
}
