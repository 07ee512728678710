//! Names and values of attributes, for whoever composes a query.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::params::Params;
use super::reply::{Fault, Reply};
use crate::traceql::{FieldValues, Literal};
use crate::traces::{SpanStore, TagScope, tag_names};

/// Most values of one field.
const VALUES: usize = 5000;

/// What every span has, in the order in which Tempo lists it.
const INTRINSICS: &[&str] = &[
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

pub(super) fn names(store: &SpanStore, params: &Params, scoped: bool) -> Result<Reply, Fault> {
    let within = params.span_of_time()?;
    let most = params.count("limit", usize::MAX)?;
    let wanted = params.get("scope").filter(|scope| !matches!(*scope, "none" | "all"));
    let known = |scope: &str| scope == "intrinsic" || TagScope::ALL.iter().any(|known| known.as_str() == scope);
    if let Some(unknown) = wanted.filter(|scope| !known(scope)) {
        return Err(Fault::new(format!("invalid scope: {unknown}")));
    }
    let asked = |scope: &str| wanted.is_none_or(|wanted| wanted == scope);
    let stored = store.read();
    let mut scopes: Vec<(&str, Vec<String>)> = Vec::new();
    // Version 1 lists what every span has only to those who ask for it.
    if asked("intrinsic") && (scoped || wanted.is_some()) {
        scopes.push(("intrinsic", INTRINSICS.iter().map(ToString::to_string).collect()));
    }
    for scope in TagScope::ALL.into_iter().filter(|scope| asked(scope.as_str())) {
        let names: Vec<String> = tag_names(&stored, scope, within).into_iter().take(most).collect();
        if !names.is_empty() {
            scopes.push((scope.as_str(), names));
        }
    }
    drop(stored);
    Ok(Reply::json(&if scoped {
        let scopes = scopes.into_iter().map(|(name, tags)| json!({"name": name, "tags": tags}));
        json!({"scopes": scopes.collect::<Vec<_>>(), "metrics": {}})
    } else {
        let names: BTreeSet<String> = scopes.into_iter().flat_map(|(_, names)| names).collect();
        json!({"tagNames": names, "metrics": {}})
    }))
}

pub(super) fn values(store: &SpanStore, params: &Params, name: &str, typed: bool) -> Result<Reply, Fault> {
    let within = params.span_of_time()?;
    let most = params.count("limit", VALUES)?.min(VALUES);
    // Version 1 names attributes without their scope.
    let fields = if typed { vec![name.to_owned()] } else { vec![name.to_owned(), format!(".{name}")] };
    let filter = params.get("q").filter(|_| typed).unwrap_or_default();
    let field = fields.iter().find_map(|field| FieldValues::new(field, filter).ok());
    let field = field.ok_or_else(|| Fault::new(format!("tag name is not valid: {name}")))?;
    let mut found: Vec<(&str, String)> = match field.keywords() {
        Some(words) => words.iter().map(|word| ("keyword", (*word).to_owned())).collect(),
        None => field.find(&store.read(), within, most).iter().map(typed_value).collect(),
    };
    if field.keywords().is_none() {
        found.sort();
    }
    let values: Vec<Value> = found
        .into_iter()
        .map(|(kind, value)| if typed { json!({"type": kind, "value": value}) } else { json!(value) })
        .collect();
    Ok(Reply::json(&json!({"tagValues": values, "metrics": {}})))
}

fn typed_value(literal: &Literal) -> (&'static str, String) {
    match literal {
        Literal::Text(text) => ("string", text.clone()),
        Literal::Int(number) => ("int", number.to_string()),
        Literal::Float(number) => ("float", number.to_string()),
        Literal::Bool(truth) => ("bool", truth.to_string()),
        Literal::Duration(_) => ("duration", literal.to_string()),
        Literal::Status(_) | Literal::Kind(_) => ("keyword", literal.to_string()),
        Literal::Nil | Literal::Array(_) => ("string", literal.to_string()),
    }
}
