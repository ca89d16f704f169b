//! A frozen run is the run that it was made of, and its file says all of it.

use std::path::Path;

use quorate_server::sim::freeze::Frozen;
use quorate_server::sim::source;
use quorate_sim::scenario::Scenario;

fn frozen(from: &Scenario) -> Frozen {
    let frozen = Frozen::new(from).unwrap_or_else(|| panic!("{}: no outcome", from.name));
    assert!(frozen.is_same(), "{}: {:?} is not {:?}", from.name, frozen.again.outcome, frozen.first.outcome);
    let (spec, text) = (&frozen.scenario.spec, frozen.scenario.to_json());
    assert!(!spec.faults.swarm && spec.faults.generate.is_empty(), "{}: it draws faults", from.name);
    assert_eq!((spec.workload.generate.ops, spec.workload.generate.min_commits), (0, 0), "{}", from.name);
    assert!(spec.timing.snap_count > 0 && spec.timing.window > 0 && spec.timing.epoch_len > 0, "{}", from.name);
    let read = Scenario::parse(&from.name, &text).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((&read, read.to_json()), (&frozen.scenario, text), "{}: written and read again", from.name);
    let brief = Scenario::parse(&from.name, &read.to_brief_json()).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(brief, read, "{}: what is left out has its default", from.name);
    frozen
}

#[test]
fn fifty_seeds() {
    let (mut faults, mut operations) = (0, 0);
    for seed in 0..50 {
        let from = source::seed_or_file(&seed.to_string(), None).expect("a seed");
        let frozen = frozen(&from);
        faults += frozen.scenario.spec.faults.explicit.len();
        operations += frozen.scenario.spec.workload.explicit.len();
    }
    assert!(faults > 500 && operations > 10_000, "{faults} faults and {operations} operations say little");
}

#[test]
fn files_with_generated_parts_and_frozen_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    for name in [
        "session/failover-with-ephemerals",
        "network/leader-partitioned-with-clients",
        "disk/whole-ensemble-power-loss",
    ] {
        let from = source::file(&root.join(format!("{name}.json")), None).expect("a scenario");
        let first = frozen(&from);
        let again = frozen(&first.scenario);
        assert_eq!(again.scenario.spec, first.scenario.spec, "{name}: frozen twice");
    }
}
