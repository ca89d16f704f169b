//! Recorded conversations with ZooKeeper 3.9.5 (`tests/vectors/client`), spoken to `quorate serve`: every answer is equal to the
//! byte, but for what the recording masks. Each script has a fresh, empty server process of its own.
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
    "opcodes.json": odd_opcodes;
    "fourletter.json": fourletter fourletter_disabled;
}
