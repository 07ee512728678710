//! `candor audit --scenario`: a fleet, a load and what must come out of it.

mod overload;
mod seed_example;

use std::process::ExitCode;

use audit::{Bounds, Faults, Scenario, Verdict};

use crate::fleet::Fleet;
use crate::placing::Placing;
use crate::topology::{Connector, GroupConfig, Latency};
use crate::trial::Trial;

/// Runs a scenario to its verdict: prints it, writes it as JSON where that is asked for, and says by exit status whether
/// it held.
///
/// # Errors
/// When a component or the load process cannot run.
pub fn run(scenario: Scenario, args: &audit::Args) -> anyhow::Result<ExitCode> {
    crate::block_on(async {
        let verdicts = verdicts(scenario, args.bounds()).await?;
        audit::conclude(&verdicts, args.json.as_deref())
    })
}

async fn verdicts(scenario: Scenario, bounds: Bounds) -> anyhow::Result<Vec<Verdict>> {
    let plan = Plan::of(scenario);
    let fleet = Fleet::start_placed(&plan.groups, &crate::temporary_directory(), &plan.placing).await?;
    let mut tried = Vec::new();
    for group in fleet.groups() {
        let mut trial = Trial::new(group.config.name, plan.load);
        trial.faults = plan.faults;
        let mut outages = plan.outages.then(|| overload::Outages::of(group));
        let second = async || {
            if let Some(outages) = &mut outages {
                outages.second().await;
            }
        };
        tried.push(trial.run(&fleet, group, second).await?);
    }
    let spans = fleet.spans().await?;
    fleet.shutdown().await?;
    let mut verdicts: Vec<Verdict> = tried.into_iter().map(|tried| tried.verdict(&spans, bounds)).collect();
    for verdict in &mut verdicts {
        verdict.numbers.extend((plan.expect)(verdict));
    }
    Ok(verdicts)
}

/// What a scenario consists of.
struct Plan {
    groups: Vec<GroupConfig>,
    /// Flags of `candor load`.
    load: &'static [&'static str],
    faults: Faults,
    placing: Placing,
    /// Whether engines die and come back.
    outages: bool,
    /// What must come out of it, beyond the audit itself.
    expect: fn(&Verdict) -> Vec<audit::verdict::NumberCheck>,
}

impl Plan {
    fn of(scenario: Scenario) -> Self {
        let all = |latency| Connector::ALL.map(|connector| GroupConfig::two_and_two(connector, latency)).to_vec();
        let nothing: fn(&Verdict) -> Vec<_> = |_| Vec::new();
        let plain = Self {
            groups: all(Latency::BUSY),
            load: STREAMS,
            faults: Faults::None,
            placing: Placing::InTurn,
            outages: false,
            expect: nothing,
        };
        match scenario {
            Scenario::SeedExample => Self {
                groups: vec![seed_example::GROUP],
                load: seed_example::LOAD,
                expect: seed_example::expect,
                ..plain
            },
            Scenario::Protocols => plain,
            Scenario::Mixed => Self { load: MIXED, ..plain },
            Scenario::Faults => Self { load: FAULTY, faults: Faults::Expected, ..plain },
            Scenario::Overload => Self {
                groups: overload::groups(),
                load: overload::LOAD,
                faults: Faults::Expected,
                placing: Placing::InMemory,
                outages: true,
                expect: overload::expect,
            },
        }
    }
}

/// A hundred streams that nobody disturbs.
const STREAMS: &[&str] = &[
    "--concurrency=100",
    "--ramp=1s",
    "--duration=8s",
    "--prompt-tokens=lognormal:128:0.8:1024",
    "--output-tokens=uniform:16:48",
];

/// All endpoints, streamed and not, in an open loop, and clients that leave before prefill is done and in mid-stream.
const MIXED: &[&str] = &[
    "--rate=40",
    "--duration=6s",
    "--stream-share=0.7",
    "--cancel-before-first=0.1",
    "--cancel-within=20ms",
    "--cancel-mid-stream=0.1",
    "--prompt-tokens=lognormal:128:0.8:1024",
    "--output-tokens=uniform:16:48",
];

/// The same with engines that refuse and break off.
const FAULTY: &[&str] = &[
    "--rate=40",
    "--duration=6s",
    "--stream-share=0.7",
    "--cancel-mid-stream=0.1",
    "--inject=0.1:x-candor-fault:status=503",
    "--inject=0.1:x-candor-fault:status=422",
    "--inject=0.05:x-candor-fault:reset-after-tokens=3",
    "--prompt-tokens=lognormal:128:0.8:1024",
    "--output-tokens=uniform:16:48",
];
