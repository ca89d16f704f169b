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

#[test]
fn a_frozen_seed_has_its_digest() {
    let dir = scratch("frozen");
    let file = dir.join("five.json").display().to_string();
    let frozen = quorate(&["freeze", "5", "-o", &file, "--json"]);
    assert_eq!(frozen.status.code(), Some(0), "{frozen:?}");
    let seed = &lines(&quorate(&["run", "--seed", "5", "--json"]))[0];
    let replayed = quorate(&["replay", &file, "--json"]);
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    assert_eq!(lines(&replayed)[0]["digest"], seed["digest"]);
    assert_eq!(lines(&frozen)[0]["digest"], seed["digest"]);
    assert_eq!(lines(&replayed)[0]["differences"], Value::Array(Vec::new()));
    let small = quorate(&["minimise", &file]);
    assert_eq!(small.status.code(), Some(2), "{small:?}");
    assert!(String::from_utf8_lossy(&small.stderr).contains("does not fail"), "{small:?}");
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn an_exhaustive_search_finds_as_much_on_two_threads() {
    let search = |jobs: &str| {
        let out = quorate(&["exhaust", "--writes", "1", "--crashes", "1", "--servers", "2", "--jobs", jobs, "--json"]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        lines(&out)
    };
    let (one, two) = (search("1"), search("2"));
    assert_eq!(one.len(), 2, "without a crash, then with one");
    for (a, b) in one.iter().zip(&two) {
        assert!(a["complete"] == true && a["covered"] == 1.0 && a["states"].as_u64() >= Some(10), "{a}");
        for key in ["servers", "writes", "crashes", "complete", "covered", "states", "choices", "ends"] {
            assert_eq!(a[key], b[key], "{key}");
        }
    }
}

#[test]
fn a_list_of_choices_is_replayed() {
    let dir = scratch("choices");
    let file = dir.join("list.json");
    let name = file.display().to_string();
    let write = |choices: &str, breaks: &str| {
        let bounds = r#"{"servers": 3, "writes": 1, "crashes": 0, "cuts": 0, "lapses": 0}"#;
        let text = format!(r#"{{"schema": "quorate-choices-1", "bounds": {bounds}, "choices": [{choices}]{breaks}}}"#);
        std::fs::write(&file, text).expect("writable");
    };
    write(r#""write s3", "deliver s3 s1", "disk s1 log""#, "");
    let out = quorate(&["replay", &name, "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(lines(&out)[0]["as_expected"] == true && lines(&out)[0]["choices"] == 3, "{out:?}");
    write(r#""write s3""#, r#", "breaks": "Z5""#);
    let out = quorate(&["replay", &name, "--json"]);
    assert!(lines(&out)[0]["as_expected"] == false && out.status.code() == Some(7), "{out:?}");
    let out = quorate(&["replay", &name]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains(&format!("not as expected: {name}:1:")) && text.contains("breaks: expected Z5"), "{text}");
    let drawn = quorate(&["replay", &name, "--html", &dir.join("list.html").display().to_string()]);
    assert_eq!(drawn.status.code(), Some(2), "there is no picture of choices: {drawn:?}");
    for (choices, says) in
        [(r#""write s1""#, ":1:122: choices[0]: write s1 cannot happen here"), (r#""fly s1""#, "choices[0]: ")]
    {
        write(choices, "");
        let out = quorate(&["replay", &name]);
        assert_eq!(out.status.code(), Some(2), "{out:?}");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(text.contains(&name) && text.contains(says), "{text}");
    }
    std::fs::remove_dir_all(dir).expect("it was made");
}

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("quorate-campaign-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("writable");
    dir
}

#[test]
fn shards_merge_to_the_campaign() {
    let dir = scratch("shards");
    let file = |name: &str| dir.join(name).display().to_string();
    let part = |i: u32| {
        let (shard, report) = (format!("{i}/3"), file(&format!("{i}.json")));
        let out = quorate(&["fuzz", "--seeds", "20..27", "--shard", &shard, "--report", &report]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        report
    };
    let (a, b, c) = (part(0), part(1), part(2));
    let merged = quorate(&["merge", &c, &a, &b, "--json"]);
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let mut merged = lines(&merged).remove(0);
    let mut whole = lines(&quorate(&["fuzz", "--seeds", "20..27", "--json"])).pop().expect("a summary");
    for summary in [&mut merged, &mut whole] {
        assert_eq!(summary["kind"], "campaign");
        assert_eq!(summary["runs"], 7);
        summary["seconds"] = Value::Null;
    }
    assert_eq!(merged, whole);

    let missing = quorate(&["merge", &a, &c]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("missing: shard 1/3"), "{missing:?}");
    let again = quorate(&["merge", &a, &b, &a]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("overlap"), "{again:?}");
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn a_campaign_runs_seeds_twice_and_writes_digests() {
    let dir = scratch("digests");
    let file = dir.join("digests").display().to_string();
    let out = quorate(&["fuzz", "--seeds", "5..8", "--jobs", "2", "--twice", "--digests", &file]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("0 not the same twice"), "{out:?}");
    let text = std::fs::read_to_string(&file).expect("written");
    let digests: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once(' ')).collect();
    assert_eq!(digests.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), ["5", "6", "7"]);
    let line = &lines(&quorate(&["run", "--seed", "6", "--json"]))[0];
    assert_eq!(line["digest"], digests[1].1);
    let report = dir.join("report").display().to_string();
    let typed = ["fuzz", "--seeds", "5..8", "--connections", "both", "--digests", &file, "--report", &report];
    let out = quorate(&typed);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("written"), text, "servers that need not decode do the same");
    assert!(std::fs::read_to_string(&report).expect("written").contains(r#""connections":"both""#));
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn a_campaign_tells_what_its_runs_reached() {
    let dir = scratch("reach");
    let file = |name: &str| dir.join(name).display().to_string();
    let text = |name: &str| std::fs::read_to_string(file(name)).expect("it was written");
    let out = quorate(&["fuzz", "--seeds", "5..9", "--reach", &file("one"), "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    assert_eq!(quorate(&["fuzz", "--seeds", "5..9", "--jobs", "2", "--reach", &file("two")]).status.code(), Some(0));
    assert_eq!(text("one"), text("two"), "in whatever order the seeds ran");
    let rows: Vec<Vec<String>> = text("one").lines().map(|l| l.split(' ').map(str::to_owned).collect()).collect();
    let hits = |row: &[String]| row[0].parse::<u64>().expect("a number of runs");
    assert!(rows.windows(2).all(|pair| hits(&pair[0]) <= hits(&pair[1])), "the rarest first");
    assert!(rows.iter().all(|row| row.len() == 7 && hits(row) <= 4), "runs, seed, role, phase, log, faults, event");
    // In each run some leader applies something.
    let applies = |row: &&Vec<String>| row[2] == "leading" && row[3] == "broadcast" && row[6] == "apply";
    assert!(rows.iter().filter(applies).map(|row| hits(row)).sum::<u64>() >= 4);
    // A run counts what the campaign counts, and is the same run.
    let alone = &lines(&quorate(&["run", "--seed", "6", "--reach", "--json"]))[0];
    let plain = &lines(&quorate(&["run", "--seed", "6", "--json"]))[0];
    assert_eq!(alone["digest"], plain["digest"]);
    assert!(plain.get("tuples").is_none());
    let campaign = lines(&out);
    let within = campaign.iter().find(|line| line["seed"] == 6).expect("it ran");
    assert_eq!(within["tuples"], alone["tuples"]);
    let sum: u64 = campaign.iter().filter_map(|line| line["tuples"].as_u64()).sum();
    assert_eq!(rows.iter().map(|row| hits(row)).sum::<u64>(), sum);
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn a_time_is_filled_with_seeds_that_can_be_given_again() {
    let out = quorate(&["fuzz", "--for", "1s", "--base", "1000", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let summary = lines(&out).pop().expect("a summary");
    assert_eq!((&summary["ended"], &summary["seeds"][0]["from"]), (&"time".into(), &1000.into()));
    assert!(String::from_utf8_lossy(&out.stderr).contains("seeds from 1000"), "{out:?}");
}

#[test]
fn a_signal_ends_a_campaign_with_its_results() {
    let dir = scratch("signal");
    let report = dir.join("report").display().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["sim", "fuzz", "--seeds", "0..1000000", "--json", "--report", &report])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let mut output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut output, &mut String::new()).expect("a seed");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    std::io::copy(&mut output, &mut std::io::sink()).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let summary: Value = serde_json::from_slice(&std::fs::read(report).expect("written")).expect("JSON");
    assert_eq!(summary["ended"], "stopped");
    assert!(summary["runs"].as_u64().is_some_and(|n| n >= 1), "{summary}");
    std::fs::remove_dir_all(dir).expect("it was made");
}

/// A file in `dir` that replays in an instant; `more` follows its name.
fn short(dir: &std::path::Path, more: &str, expect: &str) -> String {
    let file = dir.join("short.json");
    let text = format!(
        r#"{{"schema": "quorate-scenario/1", "name": "short", {more}
 "faults": {{"swarm": false}}, "timing": {{"fault_ticks": 10}}, "workload": {{"generate": {{"ops": 10, "min_commits": 0}}}},
 "expect": {{{expect}}}}}"#
    );
    std::fs::write(&file, text).expect("writable");
    file.display().to_string()
}

#[test]
fn a_replay_that_is_not_as_expected_has_an_exit_code() {
    let dir = scratch("unexpected");
    let replay = |more: &str, expect: &str| {
        let file = short(&dir, more, expect);
        let out = quorate(&["replay", &file]);
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
    };
    let (code, text) = replay("", r#""verdict": "pass""#);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("as expected") && !text.contains("note:"), "{text}");
    let other = r#""build": {"version": "0.0.1"},"#;
    let this = format!(r#""build": {{"version": "{}"}},"#, env!("CARGO_PKG_VERSION"));
    let hash = r#""verdict": "pass", "trace_hash": "0x0123456789abcdef""#;
    for (more, expect, says) in [
        (
            "",
            r#""verdict": "violation", "invariant": "Z5""#,
            "short.json:3:24: expect.verdict: expected violation, got",
        ),
        ("", r#""verdict": "pass", "min_commits": 1000000"#, "short.json:3:47: expect.min_commits: expected 1000000"),
        (other, hash, "short.json:3:46: expect.trace_hash: 0x0123456789abcdef is the hash of another version (0.0.1"),
        (&this, hash, "short.json:3:46: expect.trace_hash: expected 0x0123456789abcdef, perhaps of another build"),
    ] {
        let (code, text) = replay(more, expect);
        assert_eq!(code, Some(7), "{text}");
        assert!(text.contains(says), "{text}");
    }
    let (code, text) = replay(other, r#""verdict": "pass""#);
    assert_eq!(code, Some(0), "another version is no mistake: {text}");
    assert!(text.contains("note: ") && text.contains("short.json:1:72: build.version: written by 0.0.1"), "{text}");
    // What this build itself has written says so.
    let file = dir.join("seven.json").display().to_string();
    assert_eq!(quorate(&["run", "--seed", "7", "--save", &file]).status.code(), Some(0));
    let text = std::fs::read_to_string(&file).expect("it was written");
    let digest = lines(&quorate(&["run", "--seed", "7", "--json"]))[0]["digest"].as_str().expect("a digest").to_owned();
    assert!(text.contains(&digest) && text.contains("\"binary\": \"0x"), "{text}");
    std::fs::write(&file, text.replace(&digest, "0x0123456789abcdef")).expect("writable");
    let out = quorate(&["replay", &file, "--json"]);
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    let differences = lines(&out)[0]["differences"].to_string();
    assert!(differences.contains("expect.trace_hash: the run differs"), "{differences}");
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn files_that_are_no_scenario_have_a_place() {
    let dir = scratch("places");
    let replay = |bytes: &[u8]| {
        let file = dir.join("x.json");
        std::fs::write(&file, bytes).expect("writable");
        let out = quorate(&["replay", &file.display().to_string()]);
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let cases: [(&[u8], &str); 5] = [
        (b"{\n \"\xfe\"}", "x.json:2:3: the byte 0xfe here is no UTF-8"),
        (b"{\"schema\": \"quorate-scenario/1\",\n \"name\": \"x\"}", "x.json:1:1: expect: is missing"),
        (
            b"{\"schema\": \"quorate-choices-1\",\n \"bounds\": {\"servers\": 77, \"writes\": 1, \"crashes\": 0, \"cuts\": 0, \"lapses\": 0}, \"choices\": []}",
            "x.json:2:24: bounds.servers: 77 is not from 1 to 9",
        ),
        (b"{\"schema\": \"quorate-choices-1\",\n \"choices\": []}", "x.json:1:1: bounds: is missing"),
        (
            b"{\"schema\": \"quorate-scenario/1\", \"name\": \"x\",\n \"build\": {\"mutant\": \"K99\"}, \"expect\": {\"verdict\": \"pass\"}}",
            "x.json:2:22: build.mutant: there is no planted bug",
        ),
    ];
    for (bytes, says) in cases {
        let (code, text) = replay(bytes);
        assert!(code == Some(2) && text.contains(says), "{says}: {text}");
    }
    // A scenario that speaks of choices is none of these.
    let file = short(&dir, r#""note": "not in quorate-choices-1","#, r#""verdict": "pass""#);
    assert_eq!(quorate(&["replay", &file]).status.code(), Some(0));
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn options_without_effect_are_refused() {
    let dir = scratch("options");
    let recording = dir.join("recording");
    std::fs::write(&recording, [quorate_server::recording::MAGIC.as_slice(), &[0; 64]].concat()).expect("writable");
    let out = quorate(&["replay", &recording.display().to_string(), "--mutant", "B01"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(String::from_utf8_lossy(&out.stderr).contains("no bug can be planted"), "{out:?}");
    assert_eq!(quorate(&["exhaust", "--connections", "typed"]).status.code(), Some(2));
    std::fs::remove_dir_all(dir).expect("it was made");
}

#[test]
fn what_is_written_at_the_end_has_its_directory() {
    let dir = scratch("outputs");
    let file = |name: &str| dir.join(name).display().to_string();
    let (out, report, digests, reach) = (file("a/b"), file("a/b/c.json"), file("d/e"), file("f/g"));
    let all = ["fuzz", "--seeds", "5..6", "--out", &out, "--report", &report, "--digests", &digests, "--reach", &reach];
    let fuzz = quorate(&all);
    assert_eq!(fuzz.status.code(), Some(0), "{fuzz:?}");
    for written in [&report, &digests, &reach] {
        assert!(std::fs::metadata(written).is_ok_and(|m| m.len() > 0), "{written}");
    }
    let (merged, frozen) = (file("h/i.json"), file("j/k.json"));
    assert_eq!(quorate(&["merge", &report, "--report", &merged]).status.code(), Some(0));
    assert_eq!(quorate(&["freeze", "5", "-o", &frozen]).status.code(), Some(0));
    // What cannot be written is said before anything runs.
    let nowhere = format!("{merged}/x");
    for arguments in [
        &["fuzz", "--seeds", "0..100000000", "--report", &nowhere][..],
        &["fuzz", "--seeds", "0..100000000", "--digests", &nowhere],
        &["fuzz", "--seeds", "0..100000000", "--reach", &nowhere],
        &["fuzz", "--seeds", "0..100000000", "--out", &nowhere],
        &["exhaust", "--out", &nowhere],
        &["run", "--seed", "5", "--html", &nowhere],
        &["run", "--seed", "5", "--save", &nowhere],
        &["replay", &frozen, "--html", &nowhere],
        &["freeze", "5", "-o", &nowhere],
        &["minimise", &frozen, "-o", &nowhere],
        &["merge", &report, "--report", &nowhere],
    ] {
        let out = quorate(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).starts_with("error: "), "{out:?}");
        assert!(out.stdout.is_empty(), "{out:?}");
    }
    std::fs::remove_dir_all(dir).expect("it was made");
}
