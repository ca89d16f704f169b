//! Each planted bug is found by a seed that is clean without it, and its scenario file finds it again.
#![cfg(feature = "mutants")]

use std::time::Duration;

use quorate_server::sim::fuzz::Stop;
use quorate_server::sim::mutants::{Hunt, hunt, replays};
use quorate_server::sim::one;
use quorate_sim::catalogue;

/// So many seeds find each of them; more of them here must be matched by a reason why.
const SEEDS: u64 = 3000;

#[test]
fn every_planted_bug_is_found() {
    one::quiet_panics();
    let how = Hunt { seeds: 0..SEEDS, budget: Duration::from_secs(600), trials: 1, jobs: 2 };
    let mut alive = Vec::new();
    for row in catalogue::rows().filter(|row| row.is_planted()) {
        let found = hunt(row.id, &how, &Stop::default(), |_, _| ()).expect("this build can plant bugs");
        let Some((ran, _)) = found.kill else {
            alive.push(row.id);
            continue;
        };
        let spec = one::spec_of(ran.seed, Some(row.id)).expect("this build can plant bugs");
        assert!(replays(&ran, &spec), "{}, seed {}: its file gives something else", row.id, ran.seed);
    }
    assert!(alive.is_empty(), "alive after {SEEDS} seeds: {alive:?}");
}
