//! Connections that carry messages beside their bytes: the same runs, and little is decoded.

use quorate_sim::check::Checks;
use quorate_sim::observe::Outcome;
use quorate_sim::spec::{Dist, FaultKind, Generator};
use quorate_sim::{Options, RunSpec};

fn run(spec: &RunSpec, typed: bool) -> Outcome {
    let mut spec = spec.clone();
    spec.network.typed = typed;
    quorate_sim::run(&spec, &mut Checks::new(&spec), Options::default())
}

/// The outcome with typed connections, which must be that with encoded ones.
fn same(spec: &RunSpec) -> Outcome {
    let (encoded, typed) = (run(spec, false), run(spec, true));
    let facts = |o: &Outcome| (o.digest, o.verdict, o.end_ms, o.commits, o.messages, o.packets, o.faults_effective);
    assert_eq!(facts(&encoded), facts(&typed), "seed {}: {:?} {:?}", spec.seed, encoded.violation, typed.violation);
    assert_eq!(encoded.typed, 0, "bytes alone");
    typed
}

#[test]
fn a_seed_has_one_digest_typed_and_encoded() {
    let (mut packets, mut typed) = (0, 0);
    for seed in 0..40 {
        let outcome = same(&RunSpec::seeded(seed));
        packets += outcome.packets;
        typed += outcome.typed;
    }
    assert!(typed * 10 > packets * 8, "{typed} messages beside their bytes, {packets} packets");
}

/// What arrives damaged, in parts, twice, from strangers or not at all falls back to bytes, at the same instants.
#[test]
fn damaged_connections_do_the_same() {
    use FaultKind::{Bounded, Clog, Corrupt, Cut, Duplicate, Garbage, Lose, NewestFirst, Replay, SlowReceiver};
    for kind in [Bounded, Clog, Corrupt, Cut, Duplicate, Garbage, Lose, NewestFirst, Replay, SlowReceiver] {
        let mut effective = 0;
        for seed in 0..5 {
            let mut spec = RunSpec { seed, ..RunSpec::default() };
            spec.faults.swarm = false;
            spec.faults.hostile = true;
            spec.faults.generate = vec![Generator::new(kind, 3600)];
            // Slow and busy, so that much is under way.
            spec.network.delay = Dist::Exp { min_us: 1000, mean_us: 20_000 };
            spec.workload.generate.rate = 200;
            spec.workload.generate.ops = 1000;
            let outcome = same(&spec);
            effective += outcome.faults_effective;
            assert!(outcome.typed > 0, "{kind:?}");
        }
        assert!(effective > 0, "{kind:?} struck nothing");
    }
}
