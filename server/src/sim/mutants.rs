//! `quorate sim mutants`: each planted bug must be found by some seed, and its file must find it again.

use std::time::Instant;

use quorate_core::mutant::Mutant;
use quorate_sim::scenario::Scenario;

use super::args::Mutants;
use super::fuzz::{Stop, run_all};
use super::one::{self, Ran};
use super::{SimExit, replay, report};
use crate::serve::print;

/// `quorate sim mutants`: exit code 1 when a planted bug survives.
#[must_use]
pub fn mutants(options: &Mutants) -> SimExit {
    let known: Vec<&str> = Mutant::ALL.iter().map(|(id, _)| *id).collect();
    let chosen: Vec<&str> =
        if options.only.is_empty() { known } else { options.only.iter().map(String::as_str).collect() };
    let stop = Stop::on_signals();
    let mut survivors = 0;
    for id in chosen {
        if stop.is_set() {
            break;
        }
        let began = Instant::now();
        let mut tried = 0_u64;
        let mut killer: Option<Ran> = None;
        let result = run_all(&options.seeds, Some(id), options.jobs, &stop, |ran| {
            tried += 1;
            // A seed that fails without the planted bug proves nothing about it.
            let by_itself =
                ran.failed() && one::spec_of(ran.seed, None).is_ok_and(|s| one::run(&s, None, false).failed());
            if ran.failed() && !by_itself && killer.as_ref().is_none_or(|k| k.seed > ran.seed) {
                killer = Some(ran);
            }
            killer.is_none()
        });
        if let Err(e) = result {
            eprintln!("error: {e}");
            return SimExit::Usage;
        }
        survivors += u32::from(killer.is_none());
        let seconds = began.elapsed().as_secs_f64();
        print(&verdict(options, id, killer.as_ref(), tried, seconds));
    }
    if survivors == 0 { SimExit::Clean } else { SimExit::Violation }
}

fn verdict(options: &Mutants, id: &str, killer: Option<&Ran>, tried: u64, seconds: f64) -> String {
    let Some(ran) = killer else {
        return if options.json {
            format!("{{\"mutant\":\"{id}\",\"killed\":false,\"runs\":{tried}}}\n")
        } else {
            format!("{id}: alive after {tried} runs, {seconds:.1} s\n")
        };
    };
    let spec = one::spec_of(ran.seed, Some(id));
    let again = spec.as_ref().map(|spec| replays(ran, spec)).unwrap_or(false);
    let file = options.out.as_ref().zip(spec.ok()).and_then(|(out, spec)| replay::save_failure(ran, &spec, out));
    if options.json {
        return report::json(ran, Some(id), file.as_deref(), None);
    }
    let what = ran.violation.as_ref().map_or("?", |v| v.invariant);
    let again = if again { "replays" } else { "DOES NOT REPLAY" };
    format!("{id}: killed by {what}, seed {}, {tried} runs, {seconds:.1} s, {again}\n", ran.seed)
}

/// Whether the file of this run, written and read again, gives the same.
fn replays(ran: &Ran, spec: &quorate_sim::RunSpec) -> bool {
    let text = ran.scenario("again", spec).to_json();
    let Ok(scenario) = Scenario::parse("again", &text) else { return false };
    replay::differences(&scenario, &one::run(&scenario.spec, None, false)).is_empty()
}
