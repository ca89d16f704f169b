//! `quorate sim` as scripts use it: exit codes, JSON lines, files.

use std::process::{Command, Output};

use serde_json::Value;

fn quorate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).arg("sim").args(arguments).output().expect("it starts")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn a_seed_gives_the_same_line_twice() {
    let out = quorate(&["run", "--seed", "7", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(lines(&out), lines(&quorate(&["run", "--seed", "7", "--json"])));
    let line = &lines(&out)[0];
    assert_eq!(line["seed"], 7);
    assert_eq!(line["verdict"], "pass");
    assert!(line["digest"].as_str().is_some_and(|d| d.starts_with("0x")), "{line}");
    assert!(line["commits"].as_u64().is_some_and(|n| n >= 100), "{line}");
    for key in ["leader_changes", "faults_effective", "messages", "client_messages", "end_ms"] {
        assert!(line[key].is_u64(), "{key} of {line}");
    }
}

#[test]
fn a_fuzz_gives_a_line_for_each_seed_in_any_order() {
    let out = quorate(&["fuzz", "--seeds", "10..14", "--jobs", "2", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let mut seeds: Vec<u64> = lines(&out).iter().filter_map(|l| l["seed"].as_u64()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [10, 11, 12, 13]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("4 runs, 0 failed"), "{out:?}");
}

#[test]
fn usage_is_exit_code_two() {
    let bad = std::env::temp_dir().join(format!("quorate-bad-{}.json", std::process::id()));
    std::fs::write(&bad, "{\"schema\": \"quorate-scenario/1\",\n \"colour\": 1}").expect("writable");
    let bad_name = bad.display().to_string();
    let out = quorate(&["replay", &bad_name]);
    assert_eq!(out.status.code(), Some(2));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains(&format!("{bad_name}:2:")) && text.contains("colour"), "{text}");
    for arguments in [
        &["run"][..],
        &["run", "--seed", "x"],
        &["fuzz", "--seeds", "5..5"],
        &["replay", "/nowhere/x.json"],
        &["run", "--seed", "1", "--mutant", "K99"],
    ] {
        assert_eq!(quorate(arguments).status.code(), Some(2), "{arguments:?}");
    }
    std::fs::remove_file(bad).expect("it was written");
}

#[test]
fn a_saved_run_replays() {
    let file = std::env::temp_dir().join(format!("quorate-saved-{}.json", std::process::id()));
    let name = file.display().to_string();
    assert_eq!(quorate(&["run", "--seed", "3", "--save", &name]).status.code(), Some(0));
    let out = quorate(&["replay", &name, "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(lines(&out)[0]["differences"], Value::Array(Vec::new()), "{out:?}");
    std::fs::remove_file(file).expect("it was written");
}
