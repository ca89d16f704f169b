//! Whole runs: deterministic, with work in them, and clean.

use quorate_sim::check::Checks;
use quorate_sim::spec::{At, Budget, Core, Explicit, FaultKind, Generator, When};
use quorate_sim::{Options, Outcome, RunSpec, Verdict};

fn run(spec: &RunSpec) -> Outcome {
    let mut checks = Checks::new(spec);
    quorate_sim::run(spec, &mut checks, Options::default())
}

fn calm(seed: u64) -> RunSpec {
    let mut spec = RunSpec::seeded(seed);
    spec.faults.swarm = false;
    spec.timing.fault_ticks = 50;
    spec
}

fn fault(id: u32, at: At, kind: FaultKind, node: &str) -> Explicit {
    Explicit { node: Some(node.into()), hold_ms: Some(500), ..Explicit::new(id, at, kind) }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..6 {
        let spec = RunSpec::seeded(seed);
        let (first, second) = (run(&spec), run(&spec));
        assert_eq!(first, second);
        assert_ne!(first.digest, run(&RunSpec::seeded(seed + 100)).digest);
    }
}

#[test]
fn watching_a_run_does_not_change_it() {
    let spec = RunSpec::seeded(3);
    let mut lines = 0;
    let mut sink = |_: &str| lines += 1;
    let mut checks = Checks::new(&spec);
    let options = Options { trace: Some(&mut sink), record: true, tail: 10, ..Options::default() };
    let traced = quorate_sim::run(&spec, &mut checks, options);
    assert_eq!(traced.digest, run(&spec).digest);
    assert_eq!(traced.tail.len(), 10);
    assert!(lines > 1000 && !traced.ops.is_empty());
}

#[test]
fn a_few_seeds_are_clean_and_did_something() {
    let (mut commits, mut changes, mut faults) = (0, 0, 0);
    for seed in 1..25 {
        let outcome = run(&RunSpec::seeded(seed));
        assert!(matches!(outcome.verdict, Verdict::Pass | Verdict::Excused), "seed {seed}: {outcome:#?}");
        commits += outcome.commits;
        changes += outcome.leader_changes;
        faults += outcome.faults_effective;
    }
    assert!(commits > 2400 && changes > 20 && faults > 100, "{commits} {changes} {faults}");
}

#[test]
fn without_faults_the_leader_stays() {
    let mut spec = calm(5);
    spec.checks.core = Core::All;
    let outcome = run(&spec);
    assert_eq!((outcome.verdict, outcome.leader_changes), (Verdict::Pass, 0), "{outcome:#?}");
    assert!(outcome.commits >= 100 && outcome.replies >= 300);
}

#[test]
fn a_fault_strikes_at_the_effect_that_it_names() {
    for (effect, when) in [
        ("persist-epoch", When::Before),
        ("persist-epoch", When::After),
        ("fsync", When::After),
        ("rename", When::Before),
        ("ack-newleader", When::Before),
        ("propose", When::After),
    ] {
        for node in ["s1", "s2", "s3"] {
            let mut spec = calm(11);
            spec.topology.voters = 3;
            let at = At::Effect { node: node.into(), effect: effect.into(), n: 1, when };
            spec.faults.explicit = vec![fault(1, at, FaultKind::PowerCut, node)];
            let outcome = run(&spec);
            assert_eq!(outcome.verdict, Verdict::Pass, "{effect} {when:?} {node}: {outcome:#?}");
            // Only a leader proposes; only a follower acknowledges NEWLEADER.
            let some = matches!(effect, "ack-newleader" | "propose");
            assert!(some || outcome.faults_effective == 1, "{effect} {when:?} {node}");
        }
    }
}

#[test]
fn faults_follow_each_other() {
    let mut spec = calm(12);
    let mut after = fault(2, At::After { after: 1, ticks: 10 }, FaultKind::Kill, "s2");
    after.hold_ms = None;
    let start = fault(3, At::After { after: 2, ticks: 10 }, FaultKind::Start, "s2");
    spec.faults.explicit = vec![fault(1, At::Tick { tick: 5 }, FaultKind::Pause, "s1"), after, start];
    let outcome = run(&spec);
    assert_eq!(outcome.faults.iter().map(|f| f.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(outcome.verdict, Verdict::Pass, "{outcome:#?}");
}

#[test]
fn each_switch_makes_a_server_another_one() {
    let digest = |kind, value| {
        let mut spec = calm(3);
        let at = At::Tick { tick: 50 };
        let explicit = (1..=3).map(|n| Explicit { value, ..fault(n, at.clone(), kind, &format!("s{n}")) });
        spec.faults.explicit = explicit.collect();
        let outcome = run(&spec);
        assert_eq!((outcome.verdict, outcome.faults_effective), (Verdict::Pass, 3), "{kind:?} {value:?}");
        outcome.digest
    };
    let mut seen: Vec<u64> = (1..=3).map(|value| digest(FaultKind::Reconfigure, Some(value))).collect();
    seen.push(digest(FaultKind::Kill, None));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "digests off, a leader that serves nobody, both, and a start as before");
}

#[test]
fn what_a_seed_has_drawn_replays_as_a_list() {
    // Each kind and each schedule is among them.
    for seed in 0..150 {
        let drawn = run(&RunSpec::seeded(seed));
        let mut spec = RunSpec::seeded(seed);
        spec.faults.swarm = false;
        spec.faults.explicit = drawn.faults.clone();
        let replayed = run(&spec);
        assert_eq!(replayed.faults, drawn.faults, "seed {seed}");
        assert_eq!(replayed.digest, drawn.digest, "seed {seed}");
        assert_eq!(replayed.faults_effective, drawn.faults_effective, "seed {seed}");
    }
}

#[test]
fn the_budget_spares_a_quorum_of_disks() {
    let mut spec = RunSpec::seeded(1);
    assert_eq!(spec.disk.budget, Budget::GoodQuorum);
    spec.faults.swarm = false;
    spec.faults.generate = vec![Generator { hold_ticks: [1, 1], ..Generator::new(FaultKind::BitRot, 3600) }];
    let outcome = run(&spec);
    let votes = |name: &String| name[1..].parse::<u32>().is_ok_and(|n| n <= spec.topology.voters);
    let mut struck: Vec<_> = outcome.faults.iter().filter_map(|f| f.node.clone()).filter(votes).collect();
    struck.sort_unstable();
    struck.dedup();
    assert!(!struck.is_empty() && struck.len() <= (spec.topology.voters as usize - 1) / 2, "{struck:?}");
}
