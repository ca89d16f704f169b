//! What shrinking leaves, of runs that need not be made: a trial says by itself which ones fail.

use quorate_sim::freeze::freeze;
use quorate_sim::observe::NoCheck;
use quorate_sim::shrink::{Size, Trial, shrink};
use quorate_sim::spec::{Dist, FaultKind};
use quorate_sim::{Options, Outcome, RunSpec, Verdict, Violation, run};

/// Whatever a test says fails.
struct Pretend<F> {
    fails: F,
    outcome: Outcome,
    sizes: Vec<Size>,
}

impl<F: Fn(&RunSpec) -> bool> Trial for Pretend<F> {
    fn first(&mut self, candidates: &[RunSpec]) -> Option<(usize, Outcome)> {
        let at = candidates.iter().position(&self.fails)?;
        Some((at, Outcome { faults: candidates[at].faults.explicit.clone(), ..self.outcome.clone() }))
    }
    fn is_over(&self) -> bool {
        false
    }
    fn found(&mut self, size: &Size) {
        self.sizes.push(*size);
    }
}

/// A seed with many faults, frozen, and an outcome as if it had failed at its end.
fn failing(seed: u64) -> (RunSpec, Outcome) {
    let mut spec = RunSpec::seeded(seed);
    (spec.topology.voters, spec.topology.observers) = (5, 2);
    let mut outcome = run(&spec, &mut NoCheck, Options { record: true, ..Options::default() });
    let text = "pretended".to_owned();
    outcome.verdict = Verdict::Violation;
    outcome.violation = Some(Violation { invariant: "Z5", at_ms: outcome.end_ms, node: None, text, earlier: None });
    (freeze(&spec, &outcome), outcome)
}

fn shrunk(seed: u64, fails: impl Fn(&RunSpec) -> bool) -> (Size, RunSpec, Vec<Size>) {
    let (spec, outcome) = failing(seed);
    assert!(fails(&spec), "the whole run fails");
    let mut trial = Pretend { fails, outcome: outcome.clone(), sizes: Vec::new() };
    let (small, outcome) = shrink(&spec, &outcome, &mut trial);
    assert!((trial.fails)(&small), "what is left fails");
    (Size::of(&small, &outcome), small, trial.sizes)
}

/// A seed whose run has faults and operations of these kinds.
fn seed_with(fails: impl Fn(&RunSpec) -> bool) -> u64 {
    (0..200).find(|seed| fails(&failing(*seed).0)).expect("one of two hundred")
}

#[test]
fn only_what_it_takes_is_left() {
    let cut = |spec: &RunSpec| spec.faults.explicit.iter().any(|f| f.kind == FaultKind::PowerCut);
    let write = |spec: &RunSpec| spec.workload.explicit.iter().any(|op| op.op == "create");
    let fails = |spec: &RunSpec| cut(spec) && write(spec);
    let (size, spec, sizes) = shrunk(seed_with(fails), fails);
    let expected = Size { servers: 1, clients: 1, faults: 1, cuts: 1, operations: 1, writes: 1, ms: size.ms };
    assert_eq!(size, expected);
    assert_eq!(spec.network.delay, Dist::Const { us: 1000 });
    let op = &spec.workload.explicit[0];
    assert_eq!((op.data.as_str(), op.version, op.client), ("", -1, 1));
    assert!(sizes.windows(2).all(|w| w[1].servers <= w[0].servers), "it never grows");
}

#[test]
fn names_follow_the_servers_that_are_left() {
    // Two different servers must go down, and a client must attach to a third one.
    let fails = |spec: &RunSpec| {
        let kills = spec.faults.explicit.iter().filter(|f| matches!(f.kind, FaultKind::Kill | FaultKind::PowerCut));
        let down: Vec<&str> = kills.filter_map(|f| f.node.as_deref()).collect();
        let attached = spec.workload.explicit.iter().filter(|op| op.op == "attach");
        let up = attached.filter(|op| !down.contains(&op.path.as_str())).count();
        down.iter().any(|n| *n != down[0]) && up > 0
    };
    let (size, spec, _) = shrunk(seed_with(fails), fails);
    assert_eq!((size.servers, size.faults, size.operations), (3, 2, 0), "{spec:?}");
    let names = spec.faults.explicit.iter().filter_map(|f| f.node.clone());
    let mut names: Vec<String> = names.chain(spec.workload.explicit.iter().map(|op| op.path.clone())).collect();
    names.sort_unstable();
    assert_eq!(names, ["s1", "s2", "s3"]);
}

#[test]
fn the_same_run_gives_the_same_result() {
    let fails = |spec: &RunSpec| spec.faults.explicit.len() >= 2 && spec.workload.explicit.len() >= 3;
    let seed = seed_with(fails);
    let (first, again) = (shrunk(seed, fails), shrunk(seed, fails));
    assert_eq!(first.1, again.1);
    assert_eq!((first.0.faults, first.1.workload.explicit.len()), (2, 3));
}
