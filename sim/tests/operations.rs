//! Every operation of the client protocol is asked for by the simulated clients and judged by the model.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use quorate_sim::check::Checks;
use quorate_sim::{Options, RunSpec, Verdict, run};

/// Runs that together reach everything.
const SEEDS: std::ops::Range<u64> = 0..300;

/// What must have been judged: operations, and errors with which they can be answered (client-protocol 3, 4).
const WANTED: &[(&str, &[i32])] = &[
    ("create", &[0, -5, -8, -101, -102, -108, -110, -114, -125]),
    ("create2", &[0, -5, -110]),
    ("createContainer", &[0, -5, -110]),
    ("createTTL", &[0, -5, -6, -8, -110]),
    ("delete", &[0, -5, -8, -101, -102, -103, -111]),
    ("exists", &[0, -5, -8, -101]),
    ("getData", &[0, -5, -101, -102]),
    ("setData", &[0, -5, -8, -101, -102, -103]),
    ("getACL", &[0, -5, -101]),
    ("setACL", &[0, -5, -8, -101, -103, -114]),
    ("getChildren", &[0, -5, -101]),
    ("getChildren2", &[0, -5, -101]),
    ("getAllChildrenNumber", &[0, -5, -101]),
    ("getEphemerals", &[0, -5]),
    ("multi", &[0, -5]),
    ("multi: create", &[0, -101, -110]),
    ("multi: create2", &[0]),
    ("multi: createContainer", &[0]),
    ("multi: createTTL", &[0, -8]),
    ("multi: delete", &[0, -101]),
    ("multi: setData", &[0, -2, -101]),
    ("multi: check", &[0, -101, -103]),
    ("multiRead", &[0, -5]),
    ("multiRead: getData", &[0, -101]),
    ("multiRead: getChildren", &[0, -101]),
    ("check", &[-6]),
    ("sync", &[0]),
    ("setWatches", &[0, -5]),
    ("setWatches2", &[0, -5]),
    ("addWatch", &[0, -5]),
    ("checkWatches", &[0, -5, -121]),
    ("removeWatches", &[0, -5, -121]),
    ("auth", &[0, -115]),
    ("sasl", &[0]),
    ("whoAmI", &[0]),
    ("ping", &[0]),
    ("closeSession", &[0]),
    ("reconfig", &[-5, -123]),
    ("unknown opcode", &[-6]),
    ("undecodable body", &[-5]),
    ("deleteContainer", &[-6]),
    ("deleteContainer (reaped)", &[0]),
    ("createSession", &[-6]),
    ("createSession (upgraded)", &[0]),
    ("create flags 0", &[0]),
    ("create flags 1 (ephemeral)", &[0, -120]),
    ("create flags 2 (sequential)", &[0]),
    ("create flags 3 (ephemeral sequential)", &[0]),
    ("create flags 4 (container)", &[0]),
    ("create flags 5 (TTL)", &[0, -6, -8]),
    ("create flags 6 (TTL sequential)", &[0]),
    ("create flags unknown", &[-8]),
    ("connect: new session", &[0]),
    ("connect: session resumed", &[0]),
    ("connect: new local session", &[0]),
    ("connect: new session, read-only server", &[0]),
    ("connect: session is gone", &[-112]),
    ("event: NodeCreated", &[0]),
    ("event: NodeDeleted", &[0]),
    ("event: NodeDataChanged", &[0]),
    ("event: NodeChildrenChanged", &[0]),
];

/// Errors that some operation must have been answered with.
const ERRORS: &[i32] = &[-119, -124, -125];

#[test]
fn every_operation_is_asked_for_and_judged() {
    let mut judged: BTreeMap<(&'static str, i32), u64> = BTreeMap::new();
    for seed in SEEDS {
        let spec = RunSpec::seeded(seed);
        let mut checks = Checks::new(&spec);
        let outcome = run(&spec, &mut checks, Options::default());
        assert_ne!(outcome.verdict, Verdict::Violation, "seed {seed}: {:?}", outcome.violation);
        for (name, err, count) in checks.judged().iter() {
            *judged.entry((name, err)).or_default() += count;
        }
    }
    let missing: Vec<String> = WANTED
        .iter()
        .flat_map(|(name, errors)| errors.iter().map(move |err| (*name, *err)))
        .filter(|key| !judged.contains_key(key))
        .map(|(name, err)| format!("{name} {err}"))
        .collect();
    assert!(missing.is_empty(), "never judged: {missing:?}");
    for err in ERRORS {
        assert!(judged.keys().any(|(_, other)| other == err), "nothing was answered {err}");
    }
}
