//! What the design says of every dashboard: layout, descriptions, variables, files.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::support::{boards, root};

fn place(panel: &Value) -> (u64, u64, u64, u64) {
    let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
    (at("x"), at("y"), at("w"), at("h"))
}

#[test]
fn the_files_are_what_the_code_says() {
    for file in dashboards::files() {
        let path = root().join("deploy/observability").join(file.name);
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == file.text, "{} differs: run `candor dashboards write`", file.name);
    }
}

#[test]
fn panels_lie_inside_the_grid_and_on_nobody_else() {
    for board in boards() {
        let mut cells = BTreeSet::new();
        for panel in board.json["panels"].as_array().unwrap() {
            let (x, y, w, h) = place(panel);
            assert!(w > 0 && h > 0 && x + w <= 24, "{}: {} leaves the grid", board.name, panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{}: {} overlaps", board.name, panel["title"]);
            }
        }
        for row in board.all().into_iter().filter(|panel| panel["collapsed"] == true) {
            let mut cells = BTreeSet::new();
            for panel in row["panels"].as_array().unwrap() {
                let (x, y, w, h) = place(panel);
                for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                    assert!(x + w <= 24 && cells.insert(cell), "{}: {} overlaps", board.name, panel["title"]);
                }
            }
        }
    }
}

#[test]
fn ids_are_unique_and_uids_are_the_files_names() {
    for board in boards() {
        let ids: BTreeSet<u64> = board.all().iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), board.all().len(), "{}", board.name);
        assert_eq!(format!("{}.json", board.json["uid"].as_str().unwrap()), board.name);
    }
}

#[test]
fn every_panel_says_what_it_shows_what_is_normal_and_what_to_do() {
    for board in boards() {
        for panel in board.panels() {
            let text = panel["description"].as_str().unwrap();
            assert!(
                text.len() > 60 && text.contains("**Normal:** ") && text.contains("**If not:** "),
                "{}: {} is not described",
                board.name,
                panel["title"]
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{}: no unit", panel["title"]);
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}: no query", panel["title"]);
        }
    }
}

#[test]
fn time_refresh_links_and_sources_are_the_designs() {
    for board in boards() {
        let json = &board.json;
        assert_eq!(json["time"], json!({ "from": "now-1h", "to": "now" }));
        assert_eq!(json["refresh"], "30s");
        assert_eq!(json["links"][0]["type"], "dashboards");
        let inputs: Vec<&str> =
            json["__inputs"].as_array().unwrap().iter().map(|input| input["name"].as_str().unwrap()).collect();
        for panel in board.panels() {
            for target in panel["targets"].as_array().unwrap() {
                let uid = target["datasource"]["uid"].as_str().unwrap();
                let name = uid.trim_start_matches("${").trim_end_matches('}');
                assert!(inputs.contains(&name), "{}: {uid} is not picked at import", board.name);
            }
        }
    }
}

#[test]
fn every_variable_is_used_takes_several_values_and_has_all() {
    for board in boards() {
        let text = board.json["panels"].to_string();
        for variable in board.json["templating"]["list"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            assert!(
                text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}")),
                "{}: {name}",
                board.name
            );
            if variable["type"] == "query" {
                assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{name}");
            }
        }
    }
}

#[test]
fn latency_panels_have_exemplars() {
    for board in boards() {
        for panel in board.panels() {
            let targets = panel["targets"].as_array().unwrap();
            let quantiles = targets
                .iter()
                .any(|target| target["expr"].as_str().is_some_and(|expr| expr.contains("histogram_quantile(0.99")));
            let time = ["ms", "s"].iter().any(|unit| panel["fieldConfig"]["defaults"]["unit"] == *unit);
            if quantiles && time {
                assert!(targets.iter().any(|target| target["exemplar"] == true), "{}: {}", board.name, panel["title"]);
            }
        }
    }
}

/// The seed's panels, dashboard by dashboard; sections and an explaining word may be around the name.
const SEED: &[(&str, &[&str])] = &[
    (
        "pd-coordinator-metrics.json",
        &[
            "True TTFT",
            "Total Request Duration",
            "Prefill vs Decode Duration",
            "KV Transfer Overhead",
            "TTFT Comparison",
            "P/D Request Count",
            "P/D Connector Distribution",
            "Avg True TTFT",
            "Avg Total Duration",
            "Recent P/D Traces",
        ],
    ),
    (
        "llumnix-request-dashboard.json",
        &[
            "Request Rate",
            "Request Rate by Status",
            "Request Retry & Fallback Rate",
            "Input Token Throughput",
            "Output Token Throughput",
            "Input Token Distribution",
            "Output Token Distribution",
            "E2E Latency",
            "TTFT",
            "TPOT",
            "ITL",
            "Prefix Cache Hit Ratio",
            "Max Prefix Cache Hit Ratio",
        ],
    ),
    (
        "llumnix-component-dashboard.json",
        &[
            "Queue Duration",
            "Preprocess Duration",
            "Schedule Duration",
            "Postprocess Duration",
            "Gateway Requests",
            "Scheduling Events",
            "Rescheduling Events",
            "CMS Refresh Metadata Duration",
            "CMS Refresh Status Duration",
            "Full-Mode Schedule Duration",
            "Query Prefix Cache Hit Duration",
            "Calc Prefix Cache Hit Duration",
            "Uptime",
            "Goroutines",
            "Go Memory",
        ],
    ),
    (
        "llumnix-cms-dashboard.json",
        &[
            "CMS Requests",
            "CMS Used Tokens",
            "CMS Prefill Tokens",
            "CMS Decode Tokens",
            "CMS Inflight Dispatch Requests",
            "CMS Inflight Dispatch Tokens",
            "CMS KV Cache Usage Ratio",
            "CMS Decode Batch Size",
            "CMS All Prefill Tokens",
            "CMS All Decode Tokens",
            "Selected Instance KV Cache Usage Ratio",
            "Selected Instance Decode Batch Size",
            "Selected Instance Prefill Tokens",
            "Selected Instance Decode Tokens",
            "Selected Instance Predicted TTFT",
            "Selected Instance Predicted TPOT",
        ],
    ),
    ("llumnix-lrs-dashboard.json", &["LRS Requests", "LRS Tokens"]),
    (
        "vllm-dashboard.json",
        &[
            "E2E Request Latency",
            "Time To First Token Latency",
            "Inter-Token Latency",
            "Scheduler State",
            "Cache Utilization",
            "Token Throughput",
            "Finish Reason",
            "Queue Time",
            "Prefill and Decode Time",
            "Request Prompt Length",
            "Request Generation Length",
        ],
    ),
];

#[test]
fn every_panel_of_the_seeds_is_there_in_each_of_its_sections() {
    let boards = boards();
    for (file, panels) in SEED {
        let board = boards.iter().find(|board| board.name == *file).unwrap();
        let titles: Vec<&str> = board.panels().iter().map(|panel| panel["title"].as_str().unwrap()).collect();
        let sections: &[&str] =
            if file.contains("cms") || file.contains("lrs") { &["Prefill: ", "Decode: ", "Neutral: "] } else { &[""] };
        for (section, panel) in sections.iter().flat_map(|section| panels.iter().map(move |panel| (section, panel))) {
            let title = format!("{section}{panel}");
            assert!(titles.contains(&title.as_str()), "{file} has no {title}");
        }
    }
}
