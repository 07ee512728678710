//! Flags over YAML over environment.

use serde_yaml_ng::{Mapping, Value};

use super::foreign::{Fate, fate};
use super::{Args, Fault, Options};

/// Findings of the merge that validation goes on with.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

/// Environment variables and the settings they stand for.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("INFERENCE_POOL", "inference-pool"),
    ("INFERENCE_POOL_NAMESPACE", "inference-pool-namespace"),
    ("INFERENCE_POOL_NAME", "inference-pool-name"),
    ("ENABLE_PREFILLER_SAMPLING", "enable-prefiller-sampling"),
    ("SGLANG_BOOTSTRAP_PORT", "sglang-bootstrap-port"),
    ("MOONCAKE_BOOTSTRAP_PORT", "mooncake-bootstrap-port"),
];

/// Older names of settings. They are replaced layer by layer, so that an old flag still beats a new YAML key.
const ALIASES: &[(&str, &str)] =
    &[("vllm-port", "model-server-port"), ("connector", "kv-connector"), ("secure-proxy", "secure-serving")];

/// The settings with every layer applied.
///
/// # Errors
/// When the YAML cannot be had at all; what is wrong inside it is among the notes.
pub(super) fn merge(args: Args, environment: &dyn Fn(&str) -> Option<String>) -> Result<(Options, Notes), Vec<Fault>> {
    let mut notes = Notes::default();
    let mut layers = from_environment(environment);
    let (yaml, foreign_yaml) = split(read_yaml(&args).map_err(|fault| vec![fault])?);
    for (name, value) in foreign_yaml.into_iter().chain(args.foreign.0) {
        notes.judge(&name, &value);
    }
    for layer in [notes.well_typed(yaml), to_mapping(&args.options)?] {
        layers.extend(notes.canonical(layer));
    }
    let options = serde_yaml_ng::from_value(Value::Mapping(layers)).map_err(|error| vec![unreadable(error)])?;
    Ok((options, notes))
}

impl Notes {
    /// Judges a foreign flag by its fate.
    fn judge(&mut self, name: &str, value: &str) {
        match fate(name) {
            Some(Fate::NotYet(inert)) if inert == value => {}
            Some(Fate::NotYet(_)) => self.faults.push(Fault::new(name, "not supported yet")),
            Some(Fate::Ignored) | None => self.warnings.push(format!("--{name} has no effect here")),
        }
    }

    /// A layer with the older names replaced; where both are given, the newer one counts.
    fn canonical(&mut self, mut layer: Mapping) -> Mapping {
        for (old, new) in ALIASES {
            let Some(value) = layer.remove(*old) else { continue };
            self.warnings.push(format!("--{old} is the older name of --{new}"));
            layer.entry(Value::from(*new)).or_insert(value);
        }
        layer
    }

    /// The settings of a YAML document that are known and of a type that a setting can have; the others become faults.
    fn well_typed(&mut self, yaml: Mapping) -> Mapping {
        let mut good = Mapping::new();
        for (key, value) in yaml {
            let alone = Mapping::from_iter([(key.clone(), value.clone())]);
            match serde_yaml_ng::from_value::<Options>(Value::Mapping(alone)) {
                Ok(_) if value.is_null() => {}
                Ok(_) => drop(good.insert(key, value)),
                Err(error) => self.faults.push(misfit(&key, &error)),
            }
        }
        good
    }
}

/// A key of a YAML document that is no setting, or whose value is of a kind that the setting cannot have.
fn misfit(key: &Value, error: &serde_yaml_ng::Error) -> Fault {
    let name = plain(key);
    if error.to_string().starts_with("unknown field") {
        Fault::new("configuration", format_args!("`{name}` is not a setting"))
    } else {
        Fault::new(&name, error)
    }
}

fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Mapping {
    let set = |(variable, setting): &(&str, &str)| {
        let value = environment(variable).filter(|value| !value.is_empty())?;
        Some((Value::from(*setting), Value::from(value)))
    };
    let mut layer: Mapping = ENVIRONMENT.iter().filter_map(set).collect();
    // llm-d gives an address here; what we can take from it is the port.
    let address = environment("MORIIO_METRICS_ADDR");
    if let Some((_, port)) = address.as_deref().and_then(|address| address.rsplit_once(':')) {
        layer.insert(Value::from("metrics-port"), Value::from(port));
    }
    layer
}

fn read_yaml(args: &Args) -> Result<Mapping, Fault> {
    let (name, text) = match (&args.configuration, &args.configuration_file) {
        (Some(_), Some(_)) => {
            return Err(Fault::new("configuration", "cannot be given together with --configuration-file"));
        }
        (Some(text), None) => ("configuration", text.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Fault::new("configuration-file", format_args!("cannot read {}: {error}", path.display()))
            })?;
            ("configuration-file", text)
        }
        (None, None) => return Ok(Mapping::new()),
    };
    match serde_yaml_ng::from_str(&text) {
        Ok(Value::Mapping(mapping)) => Ok(mapping),
        Ok(Value::Null) => Ok(Mapping::new()),
        Ok(_) => Err(Fault::new(name, "is not a mapping of settings")),
        Err(error) => Err(Fault::new(name, format_args!("is not YAML: {error}"))),
    }
}

/// Parts foreign settings from those with a field.
fn split(yaml: Mapping) -> (Mapping, Vec<(String, String)>) {
    let mut ours = Mapping::new();
    let mut foreign = Vec::new();
    for (key, value) in yaml {
        match key.as_str().filter(|name| fate(name).is_some()) {
            Some(name) => foreign.push((name.to_owned(), plain(&value))),
            None => drop(ours.insert(key, value)),
        }
    }
    (ours, foreign)
}

/// A scalar as it would stand on a command line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Sequence(items) if items.is_empty() => String::new(),
        other => serde_yaml_ng::to_string(other).unwrap_or_default().trim_end().to_owned(),
    }
}

/// The settings that are there, as a layer.
fn to_mapping(options: &Options) -> Result<Mapping, Vec<Fault>> {
    match serde_yaml_ng::to_value(options).map_err(|error| vec![unreadable(error)])? {
        Value::Mapping(all) => Ok(all.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        _ => Ok(Mapping::new()),
    }
}

fn unreadable(error: serde_yaml_ng::Error) -> Fault {
    Fault::new("configuration", error)
}
