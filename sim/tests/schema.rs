//! `scenarios/schema.json` says what the reader takes: the same keys, the same words.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::path::Path;

use quorate_sim::effect::Effect;
use quorate_sim::scenario::{BOUNDS, Expect, INVARIANTS, SCHEMA, Scenario};
use quorate_sim::spec::{At, Explicit, FaultKind, Generator, InitialDisk, LeftBy, RunSpec, SCHEDULES, Target};
use serde_json::Value;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("it is JSON")
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

fn words(schema: &Value, name: &str) -> BTreeSet<String> {
    let list = schema["$defs"][name]["enum"].as_array().expect("an enumeration");
    list.iter().map(|v| v.as_str().expect("a word").to_owned()).collect()
}

/// A file in which every optional key stands somewhere.
fn everything() -> Value {
    let mut spec = RunSpec::seeded(1);
    let mut fault = Explicit::new(1, At::Us { us: 5 }, FaultKind::Schedule);
    fault.node = Some("s1".into());
    fault.from = Some("s1".into());
    fault.to = Some("s2".into());
    fault.hold_ms = Some(1);
    fault.value = Some(1);
    fault.effect = Some("fsync".into());
    fault.schedule = Some(SCHEDULES[0].0);
    spec.faults.explicit = vec![fault];
    let text = Scenario {
        name: "a".into(),
        note: "b".into(),
        version: "1".into(),
        binary: 1,
        spec,
        expect: Expect { verdict: "pass".into(), ..Expect::default() },
    }
    .to_json();
    serde_json::from_str(&text).expect("what is written can be read")
}

#[test]
fn every_section_has_the_same_keys() {
    let (schema, file) = (schema(), everything());
    let sections = [
        ("topology", "Topology"),
        ("timing", "Timing"),
        ("network", "Network"),
        ("disk", "DiskSpec"),
        ("limits", "Limits"),
        ("faults", "Faults"),
        ("workload", "Workload"),
        ("checks", "Checks"),
    ];
    for (section, name) in sections {
        assert_eq!(keys(&file[section]), keys(&schema["$defs"][name]["properties"]), "{section}");
        assert_eq!(schema["$defs"][name]["additionalProperties"], false, "{name}: an unknown key is an error");
    }
    assert_eq!(keys(&file["faults"]["explicit"][0]), keys(&schema["$defs"]["Explicit"]["properties"]));
    assert_eq!(keys(&file["workload"]["generate"]), keys(&schema["$defs"]["Generate"]["properties"]));
    assert_eq!(keys(&file), keys(&schema["properties"]));
    assert!(keys(&file["build"]).is_subset(&keys(&schema["$defs"]["Build"]["properties"])));
    assert_eq!(file["schema"], SCHEMA);
}

#[test]
fn an_initial_disk_has_the_same_keys_and_words() {
    let schema = schema();
    let properties = &schema["$defs"]["InitialDisk"]["properties"];
    let disk = InitialDisk {
        snapshots: vec!["1.1".into()],
        snapshot: Some("1.1".into()),
        left_by: Some(LeftBy::Java),
        ..InitialDisk::default()
    };
    assert_eq!(keys(&serde_json::to_value(disk).expect("JSON")), keys(properties));
    let words = properties["left_by"]["enum"].as_array().expect("an enumeration");
    for word in words {
        serde_json::from_value::<Option<LeftBy>>(word.clone()).expect("known");
    }
    let refused = serde_json::from_str::<LeftBy>("\"?\"").expect_err("no such implementation").to_string();
    assert_eq!(refused.matches('`').count() / 2 - 1, words.len() - 1, "{refused}");
}

#[test]
fn every_word_is_known_on_both_sides() {
    let schema = schema();
    let kinds: BTreeSet<String> = words(&schema, "FaultKind");
    for kind in &kinds {
        let text = format!(r#"{{"kind": "{kind}", "rate_per_h": 1}}"#);
        let generator: Generator = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!((generator.kind.name(), generator.on), (kind.as_str(), Target::Servers));
    }
    let refused = serde_json::from_str::<Generator>(r#"{"kind": "?", "rate_per_h": 1}"#).expect_err("no such kind");
    assert_eq!(refused.to_string().matches('`').count() / 2 - 1, kinds.len(), "{refused}");
    assert_eq!(words(&schema, "Schedule").len(), SCHEDULES.len());
    for name in words(&schema, "Effect") {
        assert!(Effect::by_name(&name).is_some(), "{name}");
    }
}

/// The same upper bounds on both sides, and none on one alone.
#[test]
fn every_number_has_its_bound() {
    let schema = schema();
    let mut bounded = 0;
    for (name, _, keys) in BOUNDS {
        let def = &schema["$defs"][name];
        let variants = def["oneOf"].as_array().cloned().unwrap_or_else(|| vec![def.clone()]);
        for (key, most) in *keys {
            let mut found = 0;
            for property in variants.iter().map(|v| &v["properties"][key]).filter(|p| !p.is_null()) {
                let inner = [property, &property["items"], &property["additionalProperties"]];
                let most_here: Vec<i64> = inner.iter().filter_map(|p| p["maximum"].as_i64()).collect();
                assert_eq!(most_here, [*most], "{name}.{key}");
                found += 1;
            }
            assert!(found > 0, "the schema has no {name}.{key}");
            bounded += found;
        }
    }
    let text = serde_json::to_string(&schema).expect("it is JSON");
    assert_eq!(text.matches("\"maximum\":").count(), bounded, "bounds that the reader has not");
}

#[test]
fn every_invariant_is_known_on_both_sides() {
    let schema = schema();
    let known: BTreeSet<String> = INVARIANTS.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(words(&schema, "Invariant"), known);
    let others: Vec<String> = words(&schema, "Broken").difference(&known).cloned().collect();
    assert_eq!(others, ["determinism", "panic"]);
}
