//! Recorded conversations with ZooKeeper 3.9.5 (`core/tests/vectors/client`, `…/client-ensemble`), held with `quorate serve`
//! and with the simulator's servers: every answer is equal to the byte, but for what the recording masks. Each script has a fresh,
//! empty server or ensemble of its own.
//!
//! | tests | servers | zxids |
//! | --- | --- | --- |
//! | `alone` | a process alone | equal |
//! | `follower` | the same scripts, at a follower of three processes | renamed in order |
//! | `ensemble` | scripts that were recorded with three servers, with three processes | renamed in order |
//! | `on_purpose` | no recordings: what differs on purpose, in the simulator | |
//! | `simulated_one`, `simulated_ensemble` | all of them in the simulator: alone; at a leader, a follower, an observer; observers in place of followers | equal, or renamed in order where an ensemble does what one server did |
//!
//! The recording's `opcodes.json` is absent: it shows what a client may ask of ZooKeeper and must not (deleteContainer), and what we do
//! not have (reconfig).
#![allow(clippy::unwrap_used)]

mod compare;
mod on_purpose;
mod otherwise;
mod replay;
mod script;
mod server;
mod simulated;
mod sockets;

use std::collections::BTreeSet;

use compare::Zxids;
use otherwise::Otherwise;
use script::{Profile, Script};
use server::Server;
use sockets::Sockets;

/// Names of three servers in the recordings.
const THREE: [&str; 3] = ["leader", "follower0", "follower1"];

/// One script and its server's settings.
fn load(file: &str, name: &str) -> (Script, Profile) {
    let name = name.trim_start_matches("r#");
    script::load(file).into_iter().find(|(script, _)| script.name == name).unwrap()
}

/// What goes otherwise with so many servers.
fn otherwise_at(servers: usize) -> &'static [Otherwise] {
    if servers > 1 { otherwise::LIST } else { &[] }
}

/// What differs is the panic's message.
fn judge(script: &Script, findings: &[String], logs: &[String]) {
    assert!(
        findings.is_empty(),
        "{} of {} steps differ or more\n\n{}\n\n{}",
        findings.len(),
        script.steps.len(),
        findings.join("\n\n"),
        logs.join("\n\n")
    );
}

fn held_with(servers: &[Server], names: &[&str], usual: &str, script: &Script, zxids: Zxids) {
    let mut sockets = Sockets::new(names, servers, usual);
    let findings = replay::replay(script, &mut sockets, zxids, otherwise_at(servers.len()));
    let logs: Vec<String> =
        servers.iter().map(|server| format!("a server's log ends with\n{}", server.log_end())).collect();
    judge(script, &findings, &logs);
}

fn alone(file: &str, name: &str) {
    let (script, profile) = load(file, name);
    held_with(&[server::alone(name, &profile)], &["alone"], "alone", &script, Zxids::Strict);
}

fn follower(file: &str, name: &str) {
    let (script, profile) = load(file, name);
    held_with(&server::ensemble(name, &profile, 3, 0), &THREE, "follower0", &script, Zxids::Relaxed);
}

fn ensemble(file: &str, name: &str) {
    let (script, profile) = load(file, name);
    held_with(&server::ensemble(name, &profile, 3, 0), &THREE, "leader", &script, Zxids::Relaxed);
}

/// The simulated machines of one conversation.
struct Stage {
    voters: usize,
    observers: usize,
    /// Their names: the leader's, the followers', the observers'.
    names: &'static [&'static str],
    usual: &'static str,
    zxids: Zxids,
}

fn in_simulator(file: &str, name: &str, stages: &[Stage]) {
    let (script, profile) = load(file, name);
    let mut all = Vec::new();
    for stage in stages {
        let at = format!("simulated servers {:?}, at {}: ", stage.names, stage.usual);
        let findings = simulated::hold(&script, &profile, stage, otherwise_at(stage.voters));
        all.extend(findings.into_iter().map(|finding| at.clone() + &finding));
    }
    judge(&script, &all, &[]);
}

const ALONE: Stage = Stage { voters: 1, observers: 0, names: &["alone"], usual: "alone", zxids: Zxids::Strict };

/// With one observer, at the one of this name.
const fn placed(usual: &'static str) -> Stage {
    let names = &["leader", "follower0", "follower1", "observer"];
    Stage { voters: 3, observers: 1, names, usual, zxids: Zxids::Relaxed }
}

fn simulated_one(file: &str, name: &str) {
    in_simulator(file, name, &[ALONE, placed("leader"), placed("follower0"), placed("observer")]);
}

fn simulated_ensemble(file: &str, name: &str) {
    let placed = |observers, names| Stage { voters: 3, observers, names, usual: "leader", zxids: Zxids::Strict };
    in_simulator(
        file,
        name,
        &[
            placed(0, &THREE),
            placed(1, &["leader", "", "follower1", "follower0"]),
            placed(2, &["leader", "", "", "follower0", "follower1"]),
        ],
    );
}

/// A module of tests, and the table of what they replay.
macro_rules! scripts {
    ($module:ident, $check:path; $($file:literal: $($name:ident)*;)*) => {
        mod $module {
            $($(#[test] fn $name() { $check($file, stringify!($name)); })*)*
            pub(super) const ALL: &[(&str, &[&str])] = &[$(($file, &[$(stringify!($name)),*])),*];
        }
    };
}

/// All but the four-letter words, whose texts speak of the machine: the server writes them, not the core.
macro_rules! scripts_of_one_server {
    ($module:ident, $check:path; $($more:tt)*) => {
        scripts! { $module, $check;
            "client/handshake.json": handshake resume;
            "client/create.json": create_modes ttl;
            "client/reads.json": reads;
            "client/versions.json": versions;
            "client/special.json": reserved paths;
            "client/multi.json": multi multiread;
            "client/watches.json": watch_oneshot watch_persistent check_remove;
            "client/setwatches.json": setwatches;
            "client/acl.json": acl_auth;
            "client/quota.json": quota;
            "client/session.json": session_ops pipelining expiry;
            "client/malformed.json": malformed badconnect;
            $($more)*
        }
    };
}

macro_rules! scripts_of_three_servers {
    ($module:ident, $check:path) => {
        scripts! { $module, $check;
            "client-ensemble/follower.json": follower_basic;
            "client-ensemble/sessions.json": r#move expiry local_sessions;
            "client-ensemble/multi.json": multi_flags;
            "client-ensemble/auth.json": enforced_auth;
        }
    };
}

scripts_of_one_server! { alone, super::alone; "client/fourletter.json": fourletter fourletter_disabled; }
scripts_of_one_server! { follower, super::follower; "client/fourletter.json": fourletter fourletter_disabled; }
scripts_of_three_servers! { ensemble, super::ensemble }
scripts_of_one_server! { simulated_one, super::simulated_one; }
scripts_of_three_servers! { simulated_ensemble, super::simulated_ensemble }

/// Each step of the list is a step of its script, and goes otherwise: without its line, or with a line for another step, there
/// are findings. (Those of four-letter words say so when they are replayed.)
#[test]
fn what_goes_otherwise_has_to() {
    for listed in otherwise::LIST {
        let (file, _) = alone::ALL.iter().find(|(_, names)| names.contains(&listed.script)).unwrap();
        let (script, profile) = load(file, listed.script);
        assert_eq!(script.steps.iter().filter(|step| step.name == listed.step).count(), 1, "{}", listed.step);
        if *file == "client/fourletter.json" {
            continue;
        }
        let others: Vec<Otherwise> =
            otherwise::LIST.iter().filter(|o| (o.script, o.step) != (listed.script, listed.step)).copied().collect();
        let findings = simulated::hold(&script, &profile, &placed("follower0"), &others);
        assert!(findings.iter().any(|f| f.contains(listed.step)), "{}: {}", listed.step, listed.why);
        let findings = simulated::hold(&script, &profile, &ALONE, &[*listed]);
        assert_eq!(
            findings.iter().any(|f| f.contains("as recorded")),
            matches!(listed.how, otherwise::How::Answers(_)),
            "{}: {findings:?}",
            listed.step
        );
    }
}

/// The tables name every script there is.
#[test]
fn none_is_left_out() {
    let tables = [
        ("client", alone::ALL, ""),
        ("client", follower::ALL, ""),
        ("client", simulated_one::ALL, "client/fourletter.json"),
        ("client-ensemble", ensemble::ALL, ""),
        ("client-ensemble", simulated_ensemble::ALL, ""),
    ];
    for (directory, listed, but) in tables {
        let mut there = BTreeSet::new();
        for entry in std::fs::read_dir(script::vectors().join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".json") {
                let file = format!("{directory}/{name}");
                if file == but {
                    continue;
                }
                there.extend(script::load(&file).into_iter().map(|(script, _)| (file.clone(), script.name)));
            }
        }
        let listed = listed.iter().flat_map(|(file, names)| {
            names.iter().map(|name| ((*file).to_owned(), name.trim_start_matches("r#").to_owned()))
        });
        assert_eq!(there, listed.collect());
    }
}

/// What the checker must see: any byte but a masked one, any length.
#[test]
fn a_difference_is_found() {
    use compare::Known;
    use script::{Frame, Mask};
    let bytes: Vec<u8> = (0..40).collect();
    let expected = Frame { bytes: bytes.clone(), mask: vec![Mask(8, 8, "any".into()), Mask(16, 8, "zxid".into())] };
    for at in 0..bytes.len() {
        let mut got = bytes.clone();
        got[at] ^= 0x40;
        let allowed = |zxids, also: bool| {
            assert_eq!(Known::new(zxids).check(&expected, &got).is_ok(), (8..16).contains(&at) || also, "byte {at}");
            assert!(Known::new(zxids).check(&expected, &bytes[..at]).is_err());
        };
        allowed(Zxids::Strict, false);
        allowed(Zxids::Relaxed, (16..24).contains(&at));
    }
    assert!(Known::new(Zxids::Strict).check(&expected, &bytes).is_ok());
}

/// Zxids may have other names, but each its own, and in order.
#[test]
fn zxids_are_renamed_in_order() {
    use compare::Known;
    use script::{Frame, Mask};
    let zxid = |zxid: i64| Frame { bytes: zxid.to_be_bytes().to_vec(), mask: vec![Mask(0, 8, "zxid".into())] };
    let mut known = Known::new(Zxids::Relaxed);
    let mut is = |recorded: i64, got: i64| known.check(&zxid(recorded), &got.to_be_bytes()).is_ok();
    assert!(is(5, 50) && is(9, 90) && is(7, 60) && is(5, 50));
    assert!(!is(5, 51), "another name");
    assert!(!is(6, 50) && !is(6, 60) && !is(6, 61), "the name of another, or out of order");
    assert!(is(6, 55) && is(10, 91) && is(1, 1));
    assert!(is(0, 0) && is(-1, -1) && !is(0, 3) && !is(-1, 0) && !is(20, 0));
    let request = [[0; 8], 9_i64.to_be_bytes(), 8_i64.to_be_bytes()].concat();
    let subst = [Mask(8, 8, "zxid".into()), Mask(16, 8, "zxid".into())];
    assert_eq!(known.substitute(&request, &subst), [[0; 8], 90_i64.to_be_bytes(), 8_i64.to_be_bytes()].concat());
}
