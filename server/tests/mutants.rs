//! Each planted bug is found by a seed that is clean without it, and its scenario file finds it again.
#![cfg(feature = "mutants")]

use std::path::{Path, PathBuf};

use quorate_server::sim::one;
use quorate_server::sim::replay;
use quorate_sim::scenario::Scenario;

/// Seeds that are tried.
const SEEDS: u64 = 2000;

fn killed(id: &str) {
    for seed in 0..SEEDS {
        let spec = one::spec_of(seed, Some(id)).expect("this build can plant bugs");
        let ran = one::run(&spec, None, false);
        if !ran.failed() || one::run(&one::spec_of(seed, None).expect("a seed"), None, false).failed() {
            continue;
        }
        let text = ran.scenario("found", &spec).to_json();
        let scenario = Scenario::parse("found.json", &text).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(scenario.spec.mutant.as_deref(), Some(id));
        let again = one::run(&scenario.spec, None, false);
        assert_eq!(replay::differences(&scenario, &again), Vec::<String>::new(), "{id}, seed {seed}");
        return;
    }
    panic!("{id} is alive after {SEEDS} seeds");
}

fn scenarios(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => scenarios(&path, out),
            false if path.extension().is_some_and(|e| e == "json") && !path.ends_with("schema.json") => out.push(path),
            false => {}
        }
    }
    out.sort();
}

/// Files that say in `expect.mutants` which bugs they find: each is found when it is planted.
#[test]
fn files_find_the_bugs_that_they_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut list = Vec::new();
    scenarios(&root, &mut list);
    let mut wrong = Vec::new();
    for path in &list {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        let text = std::fs::read_to_string(path).expect("readable");
        let scenario = Scenario::parse(&name, &text).unwrap_or_else(|problem| panic!("{problem}"));
        for id in scenario.expect.mutants.keys() {
            let mut planted = scenario.clone();
            planted.spec.mutant = Some(id.clone());
            let ran = one::run(&planted.spec, None, false);
            let differences = replay::differences(&planted, &ran);
            wrong.extend(differences.into_iter().map(|d| format!("{name}: {d}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! planted {
    ($($name:ident $id:literal)*) => {
        $(#[test]
        fn $name() {
            killed($id);
        })*
    };
}

planted! {
    k01_ack_before_fsync "K01"
    k02_half_is_a_quorum "K02"
    k05_observers_count "K05"
    k06_promise_not_durable "K06"
    k07_commit_skips "K07"
    k08_cut_at_the_wrong_place "K08"
    k09_tail_dropped_at_restart "K09"
    k12_ack_of_an_old_epoch "K12"
    k14_expiry_by_a_learner "K14"
    k21_hole_taken_for_the_end "K21"
    b01_diff_by_range "B01"
    b13_epoch_before_history "B13"
}
