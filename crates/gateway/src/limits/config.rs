//! The file of limits, and following it.

use std::path::{Path, PathBuf};

use proxy::Drain;

use super::Limits;
use super::file::Rules;
use crate::reload;

/// Where the limits are, and what they said at the start.
#[derive(Debug, Clone)]
pub(crate) struct LimitsConfig {
    path: PathBuf,
    text: String,
    rules: Rules,
    keyed: bool,
}

impl LimitsConfig {
    /// Reads a file of limits. `keyed` says whether requests have keys.
    ///
    /// # Errors
    /// Every fault there is.
    pub(crate) fn from_file(path: &Path, keyed: bool) -> Result<Self, String> {
        let (text, rules) = reload::read(path, |text| parse(text, keyed))?;
        Ok(Self { path: path.to_owned(), text, rules, keyed })
    }

    /// Accounts with the limits that it said at the start.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.rules.clone())
    }

    /// Has `limits` take up changes of the file until the drain begins.
    pub(crate) async fn keep_fresh(self, limits: Limits, drain: Drain) {
        let Self { path, text, keyed, .. } = self;
        reload::watch(path, text, drain, |text| {
            limits.replace(parse(text, keyed)?);
            Ok(())
        })
        .await;
    }
}

fn parse(text: &str, keyed: bool) -> Result<Rules, String> {
    let rules = Rules::parse(text)?;
    if rules.limits_keys() && !keyed {
        return Err("it limits keys, but without --api-keys-file requests have none".to_owned());
    }
    Ok(rules)
}
