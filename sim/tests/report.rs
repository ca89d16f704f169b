//! What readers get of a run: lines of the trace, and the facts of a picture.

use std::collections::BTreeSet;

use quorate_core::event::Event;
use quorate_sim::check::Checks;
use quorate_sim::observe::{Check, NoCheck, Obs, Observation, Violation};
use quorate_sim::report::{Earlier, HEADER, Kind, Picture};
use quorate_sim::{Options, Outcome, RunSpec};
use serde_json::Value;

fn drawn(spec: &RunSpec, check: &mut dyn Check, picture: &mut Picture) -> (Outcome, Value) {
    let outcome = quorate_sim::run(spec, check, Options { picture: Some(picture), ..Options::default() });
    let facts = serde_json::from_str(&picture.json(spec.servers())).expect("JSON");
    (outcome, facts)
}

/// A picture's facts, with the names of their kinds.
fn facts(picture: &Value) -> Vec<(String, &Vec<Value>)> {
    let kinds: Vec<&str> = picture["kinds"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let list = picture["facts"].as_array().expect("facts");
    list.iter().map(|f| f.as_array().expect("a fact")).map(|f| (kinds[at(f, 2)].to_owned(), f)).collect()
}
fn at(fact: &[Value], i: usize) -> usize {
    usize::try_from(fact.get(i).and_then(Value::as_i64).unwrap_or(0)).expect("not negative")
}

#[test]
fn whoever_watches_changes_nothing_and_sees_all() {
    for seed in [3, 7, 11] {
        let spec = RunSpec::seeded(seed);
        let plain = quorate_sim::run(&spec, &mut Checks::new(&spec), Options::default());
        let mut picture = Picture::default();
        let (outcome, json) = drawn(&spec, &mut Checks::new(&spec), &mut picture);
        assert_eq!((outcome.digest, outcome.verdict), (plain.digest, plain.verdict));
        assert_eq!(json["left_out"], 0);
        let facts = facts(&json);
        let servers: BTreeSet<usize> = facts.iter().filter(|(k, _)| k == "role").map(|(_, f)| at(f, 1)).collect();
        assert_eq!(servers.len(), spec.servers(), "every server has a role at some time");
        let struck: BTreeSet<u32> = outcome.faults.iter().map(|f| f.id).collect();
        let ids = json["faults"].as_array().expect("faults").iter().filter_map(|f| f["fault"]["id"].as_u64());
        assert_eq!(ids.map(|id| id as u32).collect::<BTreeSet<_>>(), struck, "every fault is named");
        let decided = facts.iter().filter(|(kind, _)| kind == "decided").count() as u64;
        assert!(decided > 0 && decided <= outcome.commits);
        // Each message that arrives was sent before, once.
        let mut under_way = BTreeSet::new();
        for (kind, fact) in &facts {
            match kind.as_str() {
                "sent" => assert!(under_way.insert(at(fact, 4))),
                "received" | "lost" => assert!(under_way.remove(&at(fact, 4)), "seed {seed}: message {}", at(fact, 4)),
                _ => {}
            }
        }
    }
}

#[test]
fn a_picture_that_is_too_large_leaves_out_old_details_only() {
    let spec = RunSpec::seeded(7);
    let (_, whole) = drawn(&spec, &mut NoCheck, &mut Picture::default());
    let mut small = Picture::new(3000);
    let (_, json) = drawn(&spec, &mut NoCheck, &mut small);
    let (all, kept) = (facts(&whole), facts(&json));
    assert!(kept.len() <= 3000, "{}", kept.len());
    assert_eq!(json["left_out"].as_u64(), Some((all.len() - kept.len()) as u64));
    assert!(json["whole_since"].as_u64().is_some_and(|at| at > 0));
    for kind in ["role", "started", "fault", "established", "cur"] {
        let count = |list: &[(String, &Vec<Value>)]| list.iter().filter(|(k, _)| k == kind).count();
        assert_eq!(count(&all), count(&kept), "{kind}");
    }
    assert_eq!(small.left_out(), json["left_out"].as_u64().expect("a number"));
}

/// Says that the first decision breaks something, because of the proposal of what is decided.
struct Breaks;

impl Check for Breaks {
    fn observe(&mut self, what: &Observation<'_>) -> Result<(), Violation> {
        let Obs::Server { node, event: Event::Decided(zxid) } = &what.what else { return Ok(()) };
        let text = "it decides; but it has proposed".into();
        let earlier = Some(Earlier::about(Kind::Proposed, zxid.0));
        Err(Violation { invariant: "Z5", at_ms: what.time_ms, node: Some(*node), text, earlier })
    }
}

#[test]
fn a_violation_is_linked_to_both_facts() {
    let (outcome, json) = drawn(&RunSpec::seeded(3), &mut Breaks, &mut Picture::default());
    assert!(outcome.violation.is_some());
    let (facts, v) = (facts(&json), &json["violation"]);
    let fact = |key: &str| &facts[usize::try_from(v[key].as_u64().expect("a place")).expect("small")];
    assert_eq!(
        (&v["invariant"], &v["happened"], &v["known"]),
        (&"Z5".into(), &"it decides".into(), &"it has proposed".into())
    );
    let (first, second) = (fact("first"), fact("second"));
    assert_eq!((first.0.as_str(), second.0.as_str()), ("decided", "proposed"));
    assert_eq!(first.1[4], second.1[4], "of the same zxid");
}

fn calm_trace(messages: bool) -> Vec<String> {
    let mut spec = RunSpec::seeded(3);
    spec.faults.swarm = false;
    spec.timing.fault_ticks = 20;
    let mut lines = Vec::new();
    let mut line = |text: &str| lines.push(text.to_owned());
    let options = Options { trace: Some(&mut line), messages, ..Options::default() };
    quorate_sim::run(&spec, &mut NoCheck, options);
    lines
}

#[test]
fn a_line_of_the_trace_has_its_columns() {
    let lines = calm_trace(false);
    let what = HEADER.find("what").expect("the last column");
    let (mut last, mut applied) = (0.0, 0);
    for line in &lines {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let at: f64 = columns[0].parse().expect("ms");
        assert!(at >= last, "{line}");
        last = at;
        assert!(line.len() > what && line.as_bytes()[what - 1] == b' ' && line.as_bytes()[what] != b' ', "{line}");
        if !columns[1].starts_with('s') {
            assert!(line[15..what].trim().is_empty(), "{line}");
            continue;
        }
        assert!(columns[3].contains('/'), "{line}");
        // Nothing is applied that is not durable in the log.
        let zxid = |i: usize| {
            let (epoch, counter) = columns[i].split_once('.').expect("epoch.counter");
            (epoch.parse::<u32>().expect("a number"), counter.parse::<u32>().expect("a number"))
        };
        assert!(zxid(7) <= zxid(5) && zxid(7) <= zxid(6), "{line}");
        applied += u32::from(zxid(7) > (0, 0));
    }
    assert!(applied > 100);
    let established = lines.iter().find(|l| l.contains("is established as leader of epoch 1")).expect("a leader");
    assert_eq!(established.split_whitespace().collect::<Vec<_>>()[2..4], ["leading", "1/1"]);
    assert!(!lines.iter().any(|l| l.contains(" gets ")));
    let with = calm_trace(true);
    for words in
        [" sends PROPOSAL 1.1 to s", " gets PROPOSAL 1.1 from s", " gets ACK 1.1 from s", " gets COMMIT 1.1 from s"]
    {
        assert!(with.iter().any(|l| l.contains(words)), "{words}");
    }
}
