//! What the generated files must be, checked from outside: against the catalogue, against parsers and programs that are not
//! ours, against Grafana's schemas, and against what the design says of every dashboard.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it does not expect has failed")]
#![expect(clippy::print_stderr, reason = "a check that is left out says so")]
#![expect(unreachable_pub, reason = "the support modules read like the library they are to the tests")]

mod catalogue;
mod rules;
mod schema;
mod shape;
mod support;
