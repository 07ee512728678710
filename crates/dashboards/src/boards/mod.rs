//! The dashboards, one file each.

mod cms;
mod component;
mod lrs;
mod overview;
mod pd_coordinator;
mod request;
mod vllm;

use crate::build::Board;

/// Every dashboard, in the order of the page's navigation.
pub(crate) fn all() -> Vec<Board> {
    vec![
        overview::board(),
        pd_coordinator::board(),
        request::board(),
        component::board(),
        cms::board(),
        lrs::board(),
        vllm::board(),
    ]
}

/// What an instance does, in the order of the sections, with its colour.
const ROLES: [(&str, &str); 3] = [("prefill", "Prefill"), ("decode", "Decode"), ("neutral", "Neutral")];
