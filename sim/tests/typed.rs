//! Connections that carry messages beside their bytes: the same runs, and nothing is decoded that need not be.

use quorate_sim::check::Checks;
use quorate_sim::observe::Outcome;
use quorate_sim::{Options, RunSpec};

fn run(spec: &RunSpec, typed: bool) -> Outcome {
    let mut spec = spec.clone();
    spec.network.typed = typed;
    quorate_sim::run(&spec, &mut Checks::new(&spec), Options::default())
}

fn same(spec: &RunSpec) -> Outcome {
    let (encoded, typed) = (run(spec, false), run(spec, true));
    let facts = |o: &Outcome| (o.digest, o.verdict, o.end_ms, o.commits, o.messages, o.packets, o.faults_effective);
    assert_eq!(facts(&encoded), facts(&typed), "seed {}: {:?} {:?}", spec.seed, encoded.violation, typed.violation);
    assert_eq!(encoded.typed, 0, "bytes alone");
    typed
}

#[test]
fn a_seed_has_one_digest() {
    let (mut packets, mut typed) = (0, 0);
    for seed in 0..60 {
        let outcome = same(&RunSpec::seeded(seed));
        packets += outcome.packets;
        typed += outcome.typed;
    }
    println!("{typed} {packets}");
    assert!(typed * 10 > packets * 8, "{typed} messages beside their bytes, {packets} packets");
}
