use std::collections::BTreeSet;

use super::*;

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described: BTreeSet<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, Route::ALL.iter().map(|route| route.path()).collect());
    for route in Route::ALL {
        let methods: BTreeSet<_> = document["paths"][route.path()].as_object().unwrap().keys().cloned().collect();
        let allowed = route.allow().split(", ").map(str::to_lowercase).collect();
        assert_eq!(methods, allowed, "{}", route.path());
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_operation_shares_its_id() {
    let document = document();
    let (mut references, mut ids) = (Vec::new(), Vec::new());
    collect(&document, &mut references, &mut ids);
    assert!(!references.is_empty());
    for reference in references {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

fn collect(value: &Value, references: &mut Vec<String>, ids: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value.as_str()) {
                    ("$ref", Some(reference)) => references.push(reference.to_owned()),
                    ("operationId", Some(id)) => ids.push(id.to_owned()),
                    _ => collect(value, references, ids),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references, ids)),
        _ => {}
    }
}
