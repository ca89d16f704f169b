//! Recorded conversations with ZooKeeper 3.9.5 (`tests/vectors/client`), spoken to `quorate serve`: every answer is equal to the
//! byte, but for what the recording masks. Each script has a fresh, empty server process of its own. The recording's `opcodes.json` is
//! absent: it shows what a client may ask of ZooKeeper and must not (deleteContainer), and what we do not have (reconfig).
#![allow(clippy::unwrap_used)]

mod support;

use support::{replay, script, server::Server};

/// Replays one script; the differences are the panic's message.
fn check(file: &str, name: &str) {
    let (script, profile) = script::load(file, name);
    let server = Server::start(name, &profile);
    let findings = replay::replay(&script, server.address);
    assert!(
        findings.is_empty(),
        "{} of {} steps differ or more\n\n{}\n\nthe server's log ends with\n{}",
        findings.len(),
        script.steps.len(),
        findings.join("\n\n"),
        server.log_end()
    );
}

macro_rules! scripts {
    ($($file:literal: $($name:ident)*;)*) => {
        $($(#[test] fn $name() { check($file, stringify!($name)); })*)*
    };
}

scripts! {
    "handshake.json": handshake resume;
    "create.json": create_modes ttl;
    "reads.json": reads;
    "versions.json": versions;
    "special.json": reserved paths;
    "multi.json": multi multiread;
    "watches.json": watch_oneshot watch_persistent check_remove;
    "setwatches.json": setwatches;
    "acl.json": acl_auth;
    "quota.json": quota;
    "session.json": session_ops pipelining expiry;
    "malformed.json": malformed badconnect;
    "fourletter.json": fourletter fourletter_disabled;
}

/// What the checker must see: any byte but a masked one, any length.
#[test]
fn a_difference_is_found() {
    use support::{compare::Known, script::Frame, script::Mask};
    let bytes: Vec<u8> = (0..40).collect();
    let expected = Frame { bytes: bytes.clone(), mask: vec![Mask(8, 8, "any".into()), Mask(16, 8, "zxid".into())] };
    for at in 0..bytes.len() {
        let mut got = bytes.clone();
        got[at] ^= 0x40;
        assert_eq!(Known::default().check(&expected, &got).is_ok(), (8..16).contains(&at), "byte {at}");
        assert!(Known::default().check(&expected, &bytes[..at]).is_err());
    }
    assert!(Known::default().check(&expected, &bytes).is_ok());
}
