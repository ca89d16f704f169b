//! Every mistake in a scenario file has a place and says what is allowed.

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use quorate_sim::RunSpec;
use quorate_sim::scenario::{Expect, INVARIANTS, Scenario};
use quorate_sim::spec::Faults;

/// A valid file; cases replace one piece of it.
const FILE: &str = r#"{
 "schema": "quorate-scenario/1",
 "name": "a",
 "seed": "0x7",
 "build": {},
 "topology": {"voters": 3, "clients": 1, "initial": {"s1": {"log": ["1.1"], "acc": 1, "cur": 1}}},
 "timing": {"max_ticks": 1000},
 "faults": {"swarm": false, "explicit": [
  {"id": 1, "at": {"tick": 3}, "do": "kill", "node": "s1", "hold_ms": 100},
  {"id": 2, "at": {"after": 1, "ticks": 1}, "do": "partition", "from": "s1", "to": "s2,c1"}]},
 "workload": {"generate": {"mix": {"set": 1}}, "explicit": [
  {"client": 1, "at": {"us": 5}, "op": "set", "path": "/a"}]},
 "expect": {"verdict": "pass", "mutants": {"K01": ["Z13"]}}
}"#;

fn refused(piece: &str, by: &str) -> String {
    let piece = &piece.replace("\\n", "\n");
    assert!(FILE.contains(piece), "{piece}");
    match Scenario::parse("x.json", &FILE.replacen(piece, by, 1)) {
        Ok(_) => format!("{by} was taken"),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn the_file_itself_is_valid() {
    Scenario::parse("x.json", FILE).unwrap_or_else(|problem| panic!("{problem}"));
}

/// What is replaced, by what, and the message; `…`: and so on.
const CASES: &[(&str, &str, &str)] = &[
    (r#""seed""#, r#""sed""#, r#"x.json:4:6: sed: unknown field `sed`, expected one of `schema…"#),
    (
        r#""voters": 3"#,
        r#""votes": 3"#,
        r#"x.json:6:21: topology.votes: unknown field `votes`, expected one of `voters`, `observers`, `clients`, `attachable`, `read_only`, `local_sessions`, `local_forever`, `enforce_quota`, `plain_types`, `super_digest`, `enforced_auth`, `groups`, `weights`, `initial`"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": "three""#,
        r#"x.json:6:31: topology.voters: invalid type: string "three", expected u32"#,
    ),
    (r#""voters": 3"#, r#""voters": -3"#, r#"x.json:6:26: topology.voters: invalid value: integer `-3`, expected u32"#),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2,s3", ""]"#,
        r#"x.json:6:51: topology.groups[1]: a group without members"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2", "s2,s3"]"#,
        r#"x.json:6:48: topology.groups[1]: s2 is in a group already"#,
    ),
    (r#""voters": 3"#, r#""voters": 3, "groups": ["s1,s2"]"#, r#"x.json:6:38: topology.groups: s3 is in no group"#),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2,s3", "s4"]"#,
        r#"x.json:6:51: topology.groups[1]: "s4" is no voter: there are s1 to s3"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2,s3"], "weights": {"s1": 0, "s2": 0, "s3": 0}"#,
        r#"x.json:6:63: topology.weights: nobody weighs anything"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2,s3"], "weights": {"s4": 1}"#,
        r#"x.json:6:70: topology.weights.s4: "s4" is no voter: there are s1 to s3"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": 3, "groups": ["s1,s2,s3"], "weights": {"s1": 1001}"#,
        r#"x.json:6:70: topology.weights.s1: 1001 is more than 1000"#,
    ),
    (
        r#""voters": 3"#,
        r#""voters": 3, "weights": {"s1": 2}"#,
        r#"x.json:6:46: topology.weights.s1: where there are no groups, nobody weighs more than others"#,
    ),
    (r#""voters": 3"#, r#""voters": 0"#, r#"x.json:6:25: topology.voters: at least one server must vote"#),
    (r#""seed": "0x7""#, r#""seed": "0xzz""#, r#"x.json:4:15: seed: "0xzz" is not a 64-bit number, as in 7 or "0x7""#),
    (
        r#""seed": "0x7""#,
        r#""seed": 7.5"#,
        r#"x.json:4:12: seed: invalid type: floating point `7.5`, expected a 64-bit number, or one as a text with 0x"#,
    ),
    (
        r#"scenario/1"#,
        r#"scenario/2"#,
        r#"x.json:2:12: schema: "quorate-scenario/2" is of another version; this build reads "quorate-scenario/1""#,
    ),
    (
        r#""schema": "quorate-scenario/1","#,
        "",
        r#"x.json:1:1: schema: is missing; this build reads "quorate-scenario/1""#,
    ),
    (r#""tick": 3"#, r#""tick": -3"#, r#"x.json:9:19: faults.explicit[0].at: tick -3 is in the past"#),
    (
        r#""tick": 3"#,
        r#""tick": 1000"#,
        r#"x.json:9:19: faults.explicit[0].at: tick 1000 is behind the end of the run (1000)"#,
    ),
    (
        r#""tick": 3"#,
        r#""tock": 3"#,
        r#"x.json:9:28: faults.explicit[0].at.tock: no instant has this key here; there are {"tick": N}, {"us": N}, {"node": "s1", "effect": "fsync", "n": N, "when": "before" or "after"}, {"after": ID, "ticks": N}"#,
    ),
    (
        r#""tick": 3"#,
        r#""tick": 3, "us": 4"#,
        r#"x.json:9:37: faults.explicit[0].at.us: an instant by "tick" has no "us""#,
    ),
    (r#""tick": 3"#, r#""tick": "3""#, r#"x.json:9:28: faults.explicit[0].at.tick: "3" is not a whole number"#),
    (
        r#"{"tick": 3}"#,
        "7",
        r#"x.json:9:19: faults.explicit[0].at: 7 is no instant; there are {"tick": N}, {"us": N}, {"node": "s1", "effect": "fsync", "n": N, "when": "before" or "after"}, {"after": ID, "ticks": N}"#,
    ),
    (
        r#"{"tick": 3}"#,
        "{}",
        r#"x.json:9:19: faults.explicit[0].at: it says no instant; there are {"tick": N}, {"us": N}, {"node": "s1", "effect": "fsync", "n": N, "when": "before" or "after"}, {"after": ID, "ticks": N}"#,
    ),
    (r#""tick": 3"#, r#""node": "s1", "effect": "fsync""#, r#"x.json:9:19: faults.explicit[0].at: "node" without "n""#),
    (
        r#""tick": 3"#,
        r#""node": "s4", "effect": "fsync", "n": 1"#,
        r#"x.json:9:19: faults.explicit[0].at: "s4" is no server: there are s1 to s3"#,
    ),
    (
        r#""tick": 3"#,
        r#""node": "s1", "effect": "fsync", "n": 0"#,
        r#"x.json:9:19: faults.explicit[0].at: effects are counted from 1"#,
    ),
    (
        r#""tick": 3"#,
        r#""node": "s1", "effect": "sneeze", "n": 1"#,
        r#"x.json:9:19: faults.explicit[0].at: "sneeze" is none of any, listen, connect, send,…"#,
    ),
    (
        r#""tick": 3"#,
        r#""node": "s1", "effect": "fsync", "n": 1, "when": "later""#,
        r#"x.json:9:69: faults.explicit[0].at.when: "later" is not "before" or "after""#,
    ),
    (
        r#""us": 5"#,
        r#""node": "s1", "effect": "fsync", "n": 1"#,
        r#"x.json:12:48: workload.explicit[0].at.effect: no instant has this key here; there are {"tick": N}, {"us": N}, {"after": ID, "ticks": N}"#,
    ),
    (
        r#""us": 5"#,
        r#""us": 100000000"#,
        r#"x.json:12:23: workload.explicit[0].at: 100000000 us is behind the end of the run"#,
    ),
    (
        r#""us": 5"#,
        r#""us": -5"#,
        r#"x.json:12:30: workload.explicit[0].at.us: -5 is not a whole number from 0 (that is in the past)"#,
    ),
    (
        r#""after": 1"#,
        r#""after": 3"#,
        r#"x.json:10:19: faults.explicit[1].at: there is no fault 3 to come after; there are 1"#,
    ),
    (
        r#""after": 1"#,
        r#""after": 2"#,
        r#"x.json:10:19: faults.explicit[1].at: there is no fault 2 to come after; there are 1"#,
    ),
    (
        r#""tick": 3"#,
        r#""after": 2, "ticks": 1"#,
        r#"x.json:9:19: faults.explicit[0].at: faults that wait for each other never come: 1 after 2 after 1"#,
    ),
    (
        r#""after": 1, "ticks": 1"#,
        r#""after": 1, "ticks": -1"#,
        r#"x.json:10:19: faults.explicit[1].at: -1 ticks after is in the past"#,
    ),
    (
        r#""node": "s1", "hold"#,
        r#""node": "s4", "hold"#,
        r#"x.json:9:54: faults.explicit[0].node: "s4" is no server: there are s1 to s3"#,
    ),
    (r#""node": "s1", "hold"#, r#""hold"#, r#"x.json:9:3: faults.explicit[0]: Kill needs `node`"#),
    (
        r#""do": "kill", "node": "s1", "hold"#,
        r#""do": "clone", "node": "s1", "to": "s1", "hold"#,
        r#"x.json:9:3: faults.explicit[0]: clone needs `to`: the other server whose id the machine gets"#,
    ),
    (
        r#""from": "s1""#,
        r#""from": "s9""#,
        r#"x.json:10:72: faults.explicit[1].from: "s9" is none of s1 to s3, c1 to c1, *"#,
    ),
    (
        r#""to": "s2,c1""#,
        r#""to": "s2,c2""#,
        r#"x.json:10:84: faults.explicit[1].to: "c2" is none of s1 to s3, c1 to c1, *"#,
    ),
    (
        r#""hold_ms": 100"#,
        r#""hold_ms": -100"#,
        r#"x.json:9:71: faults.explicit[0].hold_ms: a fault cannot end before it begins"#,
    ),
    (
        r#""do": "kill""#,
        r#""do": "krill""#,
        r#"x.json:9:44: faults.explicit[0].do: unknown variant `krill`, expected one of `power…"#,
    ),
    (r#""id": 2"#, r#""id": 1"#, r#"x.json:10:10: faults.explicit[1].id: another fault has the id 1"#),
    (r#""id": 2"#, r#""id": 2, "id": 3"#, r#"x.json:10:13: faults.explicit[1].id: this key stands here twice"#),
    (
        r#""mix": {"set": 1}"#,
        r#""mix": {"set": 1, "set": 2}"#,
        r#"x.json:11:46: workload.generate.mix.set: this key stands here twice"#,
    ),
    (
        r#""mix": {"set": 1}"#,
        r#""mix": {"sit": 1}"#,
        r#"x.json:11:43: workload.generate.mix.sit: "sit" is none of set,…"#,
    ),
    (r#""client": 1"#, r#""client": 2"#, r#"x.json:12:14: workload.explicit[0].client: there are clients 1 to 1"#),
    (r#""op": "set""#, r#""op": "put""#, r#"x.json:12:40: workload.explicit[0].op: "put" is none of set,…"#),
    (
        r#"["1.1"]"#,
        r#"["1.1", "1.1"]"#,
        r#"x.json:6:76: topology.initial.s1.log[1]: "1.1" does not follow on the one before it"#,
    ),
    (r#"["1.1"]"#, r#"["1"]"#, r#"x.json:6:69: topology.initial.s1.log[0]: "1" is not EPOCH.COUNTER"#),
    (
        r#"["1.1"]"#,
        r#"["1.1"], "snapshot": "1.1""#,
        r#"x.json:6:53: topology.initial: what a snapshot holds is decided, but only 1 of 3 voters have 0x100000001, which is no quorum"#,
    ),
    (
        r#""initial": {"s1": {"log": ["1.1"]"#,
        r#""read_only": true, "initial": {"s1": {"left_by": "java", "log": ["1.1"], "snapshot": "1.1""#,
        r#"x.json:6:79: topology.initial.s1: a server without a quorum would serve what was never decided: drop read_only"#,
    ),
    (
        r#""acc": 1"#,
        r#""acc": 1, "left_by": "etcd""#,
        r#"x.json:6:103: topology.initial.s1.left_by: unknown variant `etcd`, expected `java` or `java-3.5`"#,
    ),
    (
        r#""acc": 1"#,
        r#""acc": 0"#,
        r#"x.json:6:84: topology.initial.s1.acc: acceptedEpoch is below currentEpoch or below the newest entry's epoch"#,
    ),
    (
        r#""build": {}"#,
        r#""build": {"mutant": "K99"}"#,
        r#"x.json:5:22: build.mutant: there is no planted bug "K99"; there are B01…"#,
    ),
    (
        r#""K01": ["#,
        r#""K99": ["#,
        r#"x.json:13:51: expect.mutants.K99: there is no planted bug "K99"; there are B01…"#,
    ),
    (r#"["Z13"]"#, r#"[]"#, r#"x.json:13:51: expect.mutants.K01: no invariant that it breaks"#),
    (
        r#""build": {}"#,
        r#""build": {"mutant": "K01"}"#,
        r#"x.json:13:51: expect.mutants.K01: build.mutant plants a bug already"#,
    ),
    (
        r#""pass""#,
        r#""good""#,
        r#"x.json:13:24: expect.verdict: "good" is none of pass, violation, liveness-failure, excused, panic"#,
    ),
    (r#"{"verdict": "pass", "mutants": {"K01": ["Z13"]}}"#, "", r#"x.json:14:1: expect: expected value"#),
    (r#""mutants": {"K01": ["Z13"]}}"#, "", r#"x.json:14:1: expect.verdict: trailing comma"#),
    (
        r#"{"verdict": "pass", "mutants": {"K01": ["Z13"]}}"#,
        "{}",
        r#"x.json:13:12: expect.verdict: "" is none of pass,…"#,
    ),
    (
        r#""topology": {"voters": 3,"#,
        r#""topology": {"voters": 4294967295, "observers": 1,"#,
        r#"x.json:6:25: topology.voters: 4294967295 is more than 10000"#,
    ),
    (r#""voters": 3"#, r#""voters": 9999, "observers": 2"#, r#"x.json:6:14: topology: more than 10000 servers"#),
    (r#""clients": 1"#, r#""clients": 100000000"#, r#"x.json:6:39: topology.clients: 100000000 is more than 10000"#),
    (
        r#""clients": 1"#,
        r#""clients": 1, "attachable": 0"#,
        r#"x.json:6:56: topology.attachable: 0 is not above 0: no client could attach to anybody"#,
    ),
    (
        r#""max_ticks": 1000"#,
        r#""tick_ms": 1000000000000"#,
        r#"x.json:7:24: timing.tick_ms: 1000000000000 is more than 60000"#,
    ),
    (
        r#""max_ticks": 1000"#,
        r#""session_ms": [1000, 9223372036854775807]"#,
        r#"x.json:7:34: timing.session_ms[1]: 9223372036854775807 is more than 1000000000"#,
    ),
    (
        r#""acc": 1"#,
        r#""acc": 18446744073709551615"#,
        r#"x.json:6:84: topology.initial.s1.acc: 18446744073709551615 is more than 2000000000"#,
    ),
    (r#""cur": 1"#, r#""cur": -1"#, r#"x.json:6:94: topology.initial.s1.cur: -1 is below 0"#),
    (
        r#""set": 1}"#,
        r#""set": 4294967295}"#,
        r#"x.json:11:43: workload.generate.mix.set: 4294967295 is more than 1000000"#,
    ),
    (
        r#""hold_ms": 100"#,
        r#""hold_ms": 9223372036854775807"#,
        r#"x.json:9:71: faults.explicit[0].hold_ms: 9223372036854775807 is more than 1000000000000"#,
    ),
    (
        r#""after": 1, "ticks": 1"#,
        r#""after": 1, "ticks": 9223372036854775807"#,
        r#"x.json:10:19: faults.explicit[1].at: 9223372036854775807 ticks after is behind the end of the run (1000)"#,
    ),
    // What would change nothing.
    (
        r#""tick": 3"#,
        r#""tick": 201"#,
        r#"x.json:9:19: faults.explicit[0].at: this is behind the end of the faults: everything is healed at timing.fault_ticks (200)"#,
    ),
    (
        r#""after": 1, "ticks": 1"#,
        r#""after": 1, "ticks": 198"#,
        r#"x.json:10:19: faults.explicit[1].at: this is behind the end of the faults…"#,
    ),
    (
        r#""do": "partition", "from": "s1", "to": "s2,c1""#,
        r#""do": "cut", "from": "s1", "to": "s1""#,
        r#"x.json:10:78: faults.explicit[1].to: "s1" is the host itself: nothing goes over the network"#,
    ),
    (r#", "to": "s2,c1""#, "", r#"x.json:10:3: faults.explicit[1]: Partition needs `to`"#),
    (
        r#""to": "s2,c1""#,
        r#""to": "s2, c1""#,
        r#"x.json:10:84: faults.explicit[1].to: " c1" is none of s1 to s3, c1 to c1, *"#,
    ),
    (
        r#""from": "s1""#,
        r#""node": "s1", "from": "s1""#,
        r#"x.json:10:72: faults.explicit[1].node: means nothing to partition, which takes `from`, `to`, `hold_ms`"#,
    ),
    (
        r#""hold_ms": 100"#,
        r#""from": "s2", "value": 3"#,
        r#"x.json:9:68: faults.explicit[0].from: means nothing to kill, which takes `node`, `hold_ms`, `value`, `effect`"#,
    ),
    (
        r#""hold_ms": 100"#,
        r#""value": 3"#,
        r#"x.json:9:69: faults.explicit[0].value: counts what comes after an effect: it needs `effect`"#,
    ),
    (
        r#""do": "kill", "node": "s1", "hold_ms": 100"#,
        r#""do": "heal", "value": 1"#,
        r#"x.json:9:55: faults.explicit[0].value: means nothing to heal, which takes nothing"#,
    ),
    (
        r#""do": "partition", "from": "s1", "to": "s2,c1""#,
        r#""do": "port-block", "from": "s1", "to": "s2,c1", "value": 3"#,
        r#"x.json:10:103: faults.explicit[1].value: 3 means nothing to port-block: 0 to 2"#,
    ),
    (
        r#""swarm": false"#,
        r#""swarm": false, "generate": [{"kind": "one-way", "rate_per_h": 9, "mode": "ring"}]"#,
        r#"x.json:8:92: faults.generate[0].mode: unknown variant `ring`…"#,
    ),
    (
        r#""swarm": false"#,
        r#""swarm": false, "generate": [{"kind": "one-way", "rate_per_h": 9, "mode": "split"}]"#,
        r#"x.json:8:87: faults.generate[0].mode: only partitions have a mode"#,
    ),
    (
        r#""build": {}"#,
        r#""build": {"features": ["mutants", "banana"]}"#,
        r#"x.json:5:36: build.features[1]: "banana" is no feature that a run needs; there is mutants"#,
    ),
    (
        r#""expect""#,
        r#""checks": {"skip": ["Z99"]}, "expect""#,
        r#"x.json:13:22: checks.skip[0]: there is no invariant "Z99"; there are C1 C2…"#,
    ),
    (r#"["Z13"]"#, r#"["Z13", "z5"]"#, r#"x.json:13:59: expect.mutants.K01[1]: there is no invariant "z5"…"#),
    (
        r#""pass""#,
        r#""violation", "invariant": "Z0""#,
        r#"x.json:13:50: expect.invariant: there is no invariant "Z0"; there are C1…"#,
    ),
    (
        r#""pass""#,
        r#""pass", "trace_hash": "banana""#,
        r#"x.json:13:46: expect.trace_hash: "banana" is no digest: 0x and 16 hexadecimal digits"#,
    ),
    (r#""pass""#, r#""pass", "trace_hash": "0x""#, r#"x.json:13:46: expect.trace_hash: "0x" is no digest…"#),
    // Keys that are not there.
    (r#""name": "a","#, "", r#"x.json:1:1: name: is missing"#),
    (r#",\n "expect": {"verdict": "pass", "mutants": {"K01": ["Z13"]}}"#, "", r#"x.json:1:1: expect: is missing"#),
    (r#"{"id": 1, "#, "{", r#"x.json:9:3: faults.explicit[0].id: is missing"#),
    (r#""client": 1, "#, "", r#"x.json:12:3: workload.explicit[0].client: is missing"#),
    (r#""build": {}"#, r#""network": {"delay": {"dist": "exp"}}"#, r#"x.json:5:23: network.delay.mean_us: is missing"#),
];

#[test]
fn every_mistake_has_its_message() {
    let mut wrong = String::new();
    for (piece, by, message) in CASES {
        let got = refused(piece, by);
        let fits = message.strip_suffix('…').map_or_else(|| got == *message, |start| got.starts_with(start));
        if !fits {
            wrong += &format!("\n     got {got}\nexpected {message}\nfor {by}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_file_that_ends_early_says_where() {
    for end in (0..FILE.len() - 1).filter(|end| FILE.is_char_boundary(*end)) {
        let problem = Scenario::parse("x.json", &FILE[..end]).expect_err("it is cut");
        let lines = FILE[..end].lines().count().max(1);
        assert!((1..=lines + 1).contains(&problem.line), "{problem} at {end}");
        assert!(problem.what.starts_with("EOF while parsing"), "{problem}");
    }
    let problem = Scenario::parse("x.json", &FILE[..200]).expect_err("it is cut");
    assert_eq!(problem.to_string(), "x.json:7:22: timing.max_ticks: EOF while parsing a string");
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let bytes = b"{\n \"schema\": \"\xff\"}";
    let problem = quorate_sim::scenario::text("x.json", bytes).expect_err("it is no UTF-8");
    assert_eq!(problem.to_string(), "x.json:2:13: the byte 0xff here is no UTF-8");
}

/// Whoever saves a run, or freezes it, writes what can be read.
#[test]
fn what_seeds_stand_for_can_be_read() {
    for seed in 0..20_000 {
        let spec = RunSpec::seeded(seed);
        let expect = Expect { verdict: "pass".into(), ..Expect::default() };
        let (name, note, version) = ("a".into(), String::new(), String::new());
        let text = Scenario { name, note, version, binary: 1, spec, expect }.to_json();
        if let Err(problem) = Scenario::parse("seed", &text) {
            panic!("{seed}: {problem}");
        }
    }
}

/// Every id that a check gives can stand in a file.
#[test]
fn invariants_are_those_of_the_checks() {
    fn ids(dir: &std::path::Path, out: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                ids(&path, out);
            } else if !path.ends_with("invariants.rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let is_id = |s: &&str| {
                    let number = s.strip_prefix(['C', 'D', 'L', 'U', 'Z']);
                    number.is_some_and(|n| (1..3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
                };
                out.extend(text.split('"').filter(is_id).map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    ids(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert_eq!(found, INVARIANTS.iter().map(|id| (*id).to_owned()).collect());
}

#[test]
fn another_hash_says_whose_it_is() {
    let digest = 0x0123_4567_89ab_cdef_u64;
    let file = |build: &str| {
        let text = FILE.replace(r#""build": {}"#, &format!(r#""build": {build}"#));
        let text = text.replace(r#""pass""#, r#""pass", "trace_hash": "0x0000000000000001""#);
        Scenario::parse("x.json", &text).unwrap_or_else(|problem| panic!("{problem}"))
    };
    let outcome = quorate_sim::run(
        &RunSpec { faults: Faults { swarm: false, ..Faults::default() }, ..RunSpec::default() },
        &mut quorate_sim::observe::NoCheck,
        quorate_sim::Options::default(),
    );
    let outcome = quorate_sim::Outcome { digest, ..outcome };
    for (build, says) in [
        (r#"{"version": "0.0.1", "binary": "0x7"}"#, "is the hash of another version (0.0.1"),
        (r#"{"version": "VERSION", "binary": "0x8"}"#, "is the hash of another build"),
        (r#"{"version": "VERSION", "binary": "0x7"}"#, "the run differs"),
        ("{}", "perhaps of another build"),
    ] {
        let scenario = file(&build.replace("VERSION", env!("CARGO_PKG_VERSION")));
        let differences = scenario.differences(&outcome, 7);
        let hash = differences.iter().find(|d| d.field == "expect.trace_hash").expect("it differs");
        assert!(hash.what.contains(says) && hash.what.contains("0x0123456789abcdef"), "{hash}");
        assert_eq!(scenario.other_version().is_some(), build.contains("0.0.1"));
    }
}
