//! `quorate sim explore`: what exploration gains over plain seeds, measured by planted bugs.

use std::time::Duration;

use quorate_sim::RunSpec;
use quorate_sim::explore::{Explorer, Mix};

use super::args::Explore;
use super::one;
use super::{SimExit, replay};
use crate::process;
use crate::serve::print;

/// One hunt.
#[derive(Clone, Copy, Debug)]
struct Trial {
    cpu: Duration,
    runs: u64,
    tuples: u64,
    kept: bool,
    killed: bool,
}

fn fails_by_itself(spec: &RunSpec) -> bool {
    let spec = RunSpec { mutant: None, ..spec.clone() };
    one::run(&spec, None, false).failed()
}

fn plain(id: &str, base: u64, budget: Duration) -> Trial {
    let begin = process::thread_cpu();
    let mut seed = base;
    loop {
        let spec = RunSpec { mutant: Some(id.into()), ..RunSpec::seeded(seed) };
        seed += 1;
        let killed = one::run(&spec, None, false).failed() && !fails_by_itself(&spec);
        let cpu = process::thread_cpu().saturating_sub(begin);
        if killed || cpu > budget {
            return Trial { cpu, runs: seed - base, tuples: 0, kept: false, killed };
        }
    }
}

fn exploring(id: &str, base: u64, budget: Duration, mix: Mix) -> Trial {
    let begin = process::thread_cpu();
    let mut explorer = Explorer::new(base, mix);
    let mut runs = 0;
    loop {
        let spec = explorer.next();
        let changed = spec != RunSpec::seeded(spec.seed);
        let spec = RunSpec { mutant: Some(id.into()), ..spec };
        let ran = one::run_reaching(&spec);
        runs += 1;
        let killed = ran.failed() && !fails_by_itself(&spec);
        if let Some(outcome) = ran.outcome.as_ref().filter(|_| !killed) {
            explorer.learn(RunSpec { mutant: None, ..spec }, outcome);
        }
        let cpu = process::thread_cpu().saturating_sub(begin);
        if killed || cpu > budget {
            return Trial { cpu, runs, tuples: explorer.reached.count(), kept: changed, killed };
        }
    }
}

/// `quorate sim explore`.
#[must_use]
pub fn explore(options: &Explore) -> SimExit {
    for id in &options.ids {
        if let Err(e) = one::can_plant(id) {
            return replay::usage(&e);
        }
    }
    let mix = match options.mix[..] {
        [fresh, branch, again, change] => Mix { fresh, branch, again, change },
        _ => Mix::default(),
    };
    for n in 0..options.trials {
        for id in &options.ids {
            let base = options.base + n * 100_000;
            for way in &options.ways {
                let t = match way.as_str() {
                    "plain" => plain(id, base, options.budget),
                    _ => exploring(id, base, options.budget, mix),
                };
                print(&format!(
                    "{{\"id\":\"{id}\",\"way\":\"{way}\",\"base\":{base},\"cpu_s\":{:.3},\"runs\":{},\"killed\":{},\"tuples\":{},\"changed\":{}}}\n",
                    t.cpu.as_secs_f64(),
                    t.runs,
                    t.killed,
                    t.tuples,
                    t.kept
                ));
            }
        }
    }
    SimExit::Clean
}
