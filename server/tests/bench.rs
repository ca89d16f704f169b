//! `quorate bench` from outside: a short run of its cheapest measurements, on real servers.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn bench(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).arg("bench").args(arguments).output().unwrap()
}

#[test]
fn a_short_run() {
    let output = bench(&["--rows", "set,latency,multi,visits", "--rounds", "1", "--seconds", "1", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r["name"].as_str().unwrap()).collect();
    for name in [
        "set: rate",
        "one set at a time: p50",
        "multi of 100 sets: server CPU",
        "connect, create an ephemeral, close: server CPU",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    for row in rows {
        assert!(row["results"][0]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn what_it_does_not_know_is_refused() {
    for arguments in [&["--rows", "dance"] as &[&str], &["--rounds", "0"], &["--against", "etcd"], &["--only-other"]] {
        assert_eq!(bench(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
