//! Every mistake in a scenario file has a place and says what is allowed.

use quorate_sim::scenario::Scenario;

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
    assert!(FILE.contains(piece), "{piece}");
    match Scenario::parse("x.json", &FILE.replacen(piece, by, 1)) {
        Ok(_) => panic!("{by} was taken"),
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
        r#"x.json:6:70: topology.weights.s1: 1001 is above 1000"#,
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
];

#[test]
fn every_mistake_has_its_message() {
    for (piece, by, message) in CASES {
        let got = refused(piece, by);
        let fits = message.strip_suffix('…').map_or_else(|| got == *message, |start| got.starts_with(start));
        assert!(fits, "\n     got {got}\nexpected {message}\nfor {by}");
    }
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
