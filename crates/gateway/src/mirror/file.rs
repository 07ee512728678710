//! The mirror's settings, as they stand in a file.

use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::traffic::External;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    /// Where copies go; there where it is enabled.
    pub(crate) target: Option<External>,
    /// Of a hundred requests, how many are copied.
    ratio: f64,
    pub(crate) timeout: Option<Duration>,
    pub(crate) authorization: Option<HeaderValue>,
    /// Whether each copy has a line in the log.
    pub(crate) log: bool,
}

/// Why a file's text gives no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// It is no JSON object with the right members.
    #[error("is not a JSON object of Enable, Target, Ratio, Timeout, Authorization, EnableLog: {0}")]
    Shape(String),
    /// It is enabled, and says not where to.
    #[error("Enable is true, but there is no Target")]
    NoTarget,
    /// The target is no URL.
    #[error("Target: {0}")]
    Target(String),
    /// Not a percentage.
    #[error("Ratio: {0} is not from 0 to 100")]
    Ratio(String),
    /// Not a number of milliseconds.
    #[error("Timeout: {0} is no number of milliseconds")]
    Timeout(String),
    /// It cannot stand in a header. It is not repeated, being a secret.
    #[error("Authorization holds a character that cannot stand in a header")]
    Authorization,
}

/// The file in upstream's words, in lower case: upstream reads them in any.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    enable: bool,
    target: String,
    ratio: f64,
    timeout: f64,
    authorization: String,
    enablelog: bool,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            enable: false,
            target: String::new(),
            ratio: 0.0,
            timeout: 0.0,
            authorization: String::new(),
            enablelog: false,
        }
    }
}

impl Settings {
    /// Reads a file's text. All of it is checked, also what is switched off.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, SettingsError> {
        let shape = |error: serde_json::Error| SettingsError::Shape(error.to_string());
        let members: Map<String, Value> = serde_json::from_slice(text).map_err(shape)?;
        let lower = members.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let written: Written = serde_json::from_value(Value::Object(lower)).map_err(shape)?;
        if !(0.0..=100.0).contains(&written.ratio) {
            return Err(SettingsError::Ratio(written.ratio.to_string()));
        }
        let timeout = Duration::try_from_secs_f64(written.timeout / 1e3)
            .map_err(|_| SettingsError::Timeout(written.timeout.to_string()))?;
        let target = match written.target.as_str() {
            "" if written.enable => return Err(SettingsError::NoTarget),
            "" => None,
            url => Some(External::parse(url, "", "").map_err(SettingsError::Target)?),
        };
        let authorization = match written.authorization.as_str() {
            "" => None,
            text => {
                let mut value = HeaderValue::from_str(text).map_err(|_| SettingsError::Authorization)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            enabled: written.enable,
            target,
            ratio: written.ratio,
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            authorization,
            log: written.enablelog,
        })
    }

    /// Whether the request that drew this lot (from 0 to 1) is copied.
    pub(crate) fn wants(&self, lot: f64) -> bool {
        self.enabled && lot * 100.0 < self.ratio
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        Settings::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_are_read_in_any_case_and_nothing_is_off() {
        let text = br#"{"Enable":true,"target":"http://b/v1","RATIO":12.5,"Timeout":1500,"Authorization":"Bearer x","EnableLog":true}"#;
        let settings = Settings::parse(text).unwrap();
        assert!(settings.enabled && settings.log);
        assert_eq!(settings.target.as_ref().unwrap().name(), "http://b/v1");
        assert_eq!(settings.timeout, Some(Duration::from_millis(1500)));
        assert!(!format!("{settings:?}").contains("Bearer x"));
        let nothing = Settings::parse(b"{}").unwrap();
        assert!(!nothing.wants(0.0) && nothing.timeout.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (text, expected) in [
            ("", "is not a JSON object"),
            ("[]", "is not a JSON object"),
            (r#"{"Ratoi":1}"#, "unknown field `ratoi`"),
            (r#"{"Enable":"yes"}"#, "is not a JSON object"),
            (r#"{"Enable":true}"#, "there is no Target"),
            (r#"{"Target":"b:80"}"#, "Target: `b:80` is no URL"),
            (r#"{"Ratio":101}"#, "Ratio: 101"),
            (r#"{"Ratio":-1}"#, "Ratio: -1"),
            (r#"{"Timeout":-5}"#, "Timeout: -5"),
            (r#"{"Timeout":1e300}"#, "Timeout: 1"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
        let secret = error("{\"Authorization\":\"a\\nb\"}");
        assert!(secret.starts_with("Authorization") && !secret.contains("a\nb"));
    }

    proptest! {
        #[test]
        fn the_ratio_is_kept(ratio in 0.0..=100.0_f64, lot in 0.0..1.0_f64) {
            let text = format!(r#"{{"Enable":true,"Target":"http://b","Ratio":{ratio}}}"#);
            let settings = Settings::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(settings.wants(lot), lot * 100.0 < ratio);
        }
    }

    #[test]
    fn all_and_none() {
        let at = |ratio: u32| {
            let text = format!(r#"{{"Enable":true,"Target":"http://b","Ratio":{ratio}}}"#);
            Settings::parse(text.as_bytes()).unwrap()
        };
        assert!(at(100).wants(0.999_999_9) && !at(0).wants(0.0));
    }
}
