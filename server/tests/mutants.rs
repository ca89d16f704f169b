//! Each planted bug is found by a seed that is clean without it, and its scenario file finds it again.
#![cfg(feature = "mutants")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_server::sim::fuzz::Stop;
use quorate_server::sim::minimise::{Bounds, minimise};
use quorate_server::sim::mutants::{Hunt, hunt, replays};
use quorate_server::sim::{one, replay, source};
use quorate_sim::catalogue;
use quorate_sim::scenario::Scenario;

/// So many seeds find each of them; more of them here must be matched by a reason why.
const SEEDS: u64 = 20_000;

#[test]
fn every_planted_bug_is_found() {
    one::quiet_panics();
    let how = Hunt { seeds: 0..SEEDS, budget: Duration::from_secs(600), trials: 1, jobs: 2 };
    let mut alive = Vec::new();
    // Our own rows are what only one in tens of thousands shows: files find them.
    for row in catalogue::rows().filter(|row| row.is_planted() && !row.id.starts_with('Q')) {
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

/// Files that say in `expect.mutants` which bugs they find: each is found when it is planted, as the table in the README says.
#[test]
fn files_find_the_bugs_that_they_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("readable");
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
            let row = format!("| {id} | `{name}` | {} |", ran.violation.map_or("", |v| v.invariant));
            if !readme.contains(&row) {
                wrong.push(format!("scenarios/README.md lacks the row {row}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A seed becomes a small file that finds its bug, the same one on any number of threads.
#[test]
fn failing_seeds_become_small() {
    one::quiet_panics();
    for (seed, id, servers) in [(1_000_000, "K06", 3), (1_000_044, "B52", 3)] {
        let from = source::seed_or_file(&seed.to_string(), Some(id)).expect("this build can plant bugs");
        let small = |jobs| {
            let bounds = Bounds { budget: Duration::from_secs(600), jobs, tell: false };
            minimise(&from, "small", &bounds, &Stop::default()).expect("it fails")
        };
        let (one, two) = (small(1), small(2));
        assert_eq!(one.scenario, two.scenario, "{id}: one thread and two");
        assert!(one.replays, "{id}: {}", one.scenario.to_brief_json());
        let after = one.after;
        assert!(after.servers <= servers && after.cuts <= 3 && after.writes <= 3, "{id}: {after:?}");
        assert_eq!(one.scenario.expect.mutants.keys().collect::<Vec<_>>(), [id]);
    }
    let clean = source::seed_or_file("7", None).expect("a seed");
    let bounds = Bounds { budget: Duration::from_secs(1), jobs: 1, tell: false };
    let why = minimise(&clean, "small", &bounds, &Stop::default()).expect_err("it passes");
    assert!(why.contains("does not fail"), "{why}");
}

/// What is ended early says so, and leaves the table of all rows alone.
#[test]
fn a_signal_ends_the_hunt_with_its_results() {
    let dir = std::env::temp_dir().join(format!("quorate-hunt-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("writable");
    let table = dir.join("table.md");
    std::fs::write(&table, "whole").expect("writable");
    // The first row is soon found, the second one is hardly ever.
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["sim", "mutants", "--ids", "K01,Q15", "--trials", "1", "--json", "--table"])
        .arg(&table)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let mut output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut output, &mut line).expect("a row");
    assert!(line.contains("K01"), "{line}");
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    std::io::copy(&mut output, &mut std::io::sink()).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(std::fs::read_to_string(&table).expect("it was there"), "whole");
    std::fs::remove_dir_all(dir).expect("it was made");
}
