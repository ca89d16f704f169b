//! Conversations recorded from a real 3.9.5 server, replayed against front, prepare, tree and watches: the same bytes come back.

mod standalone;

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::config::{Auth, Features, PeerConfig, Timing};
use quorate_core::ids::{LinkId, Sid, Zxid};
use serde_json::Value;
use standalone::Standalone;

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}
fn list<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    v[key].as_array().map_or(&[], |a| a.as_slice())
}
fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex digits")).collect()
}
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn config(profile: &Value) -> PeerConfig {
    let cfg = &profile["cfg"];
    let props = &profile["system_properties"];
    let on = |key: &str| props[key].as_str() == Some("true") || cfg[key].as_str() == Some("true");
    let tick = cfg["tickTime"].as_i64().expect("every profile has one");
    let mut timing = Timing {
        tick_ms: tick,
        min_session_ms: cfg["minSessionTimeout"].as_i64().unwrap_or(2 * tick),
        max_session_ms: 20 * tick,
        ..Timing::default()
    };
    if let Some(ms) = props["znode.container.checkIntervalMs"].as_str() {
        timing.container_check_ms = ms.parse().expect("a number");
    }
    let features = Features {
        extended_types: on("zookeeper.extendedTypesEnabled"),
        enforce_quota: on("zookeeper.enforceQuota"),
        local_sessions: on("localSessionsEnabled"),
        local_sessions_upgrading: on("localSessionsUpgradingEnabled"),
        auth: Auth {
            super_digest: props["zookeeper.DigestAuthenticationProvider.superDigest"].as_str().map(Into::into),
            enforced: match props["zookeeper.enforce.auth.schemes"].as_str() {
                Some(schemes) if on("zookeeper.enforce.auth.enabled") => schemes.split(',').map(Into::into).collect(),
                _ => Vec::new(),
            },
            ..Auth::default()
        },
        ..Features::default()
    };
    PeerConfig { sid: Sid(1), timing, features, seed: 7, ..PeerConfig::default() }
}

/// One expected frame and what of it may differ.
struct Expected {
    bytes: Vec<u8>,
    mask: Vec<(usize, usize, String)>,
}

impl Expected {
    fn of(hex: &str, mask: &Value) -> Self {
        let mask = mask.as_array().map_or(&[][..], |a| a.as_slice()).iter().map(|m| {
            let number = |i: usize| m[i].as_u64().expect("an offset or a length") as usize;
            (number(0), number(1), m[2].as_str().expect("a kind").to_string())
        });
        Self { bytes: unhex(hex), mask: mask.collect() }
    }
}

#[derive(Default)]
struct Names {
    session: BTreeMap<String, [u8; 8]>,
    password: BTreeMap<String, [u8; 16]>,
}

struct Replay {
    server: Standalone,
    links: BTreeMap<String, LinkId>,
    names: Names,
}

impl Replay {
    /// The step's complaint, if there is one.
    fn step(&mut self, step: &Value) -> Result<(), String> {
        let conn = text(step, "conn").to_string();
        let mut request = unhex(text(step, "request_hex"));
        for s in list(step, "subst") {
            let at = s[0].as_u64().expect("an offset") as usize;
            match s[2].as_str().expect("a kind").split_once(':') {
                Some(("session", name)) => request[at..at + 8].copy_from_slice(&self.names.session[name]),
                Some(("passwd", name)) => request[at..at + 16].copy_from_slice(&self.names.password[name]),
                _ => {}
            }
        }
        match text(step, "kind") {
            "sleep" => self.server.sleep((step["seconds"].as_f64().expect("a duration") * 1000.0) as i64),
            "hangup" => {
                self.server.hang_up(self.links[&conn]);
                return Ok(());
            }
            "observe_close" => {}
            kind => {
                if kind == "connect" {
                    let link = self.server.open();
                    self.links.insert(conn.clone(), link);
                }
                let link = self.links[&conn];
                self.server.bytes(link, &request);
            }
        }
        self.compare(step, &conn)
    }

    fn compare(&mut self, step: &Value, conn: &str) -> Result<(), String> {
        let mut expected: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
        let events = list(step, "events");
        let before = events.iter().filter(|e| text(e, "pos") == "before");
        let after = events.iter().filter(|e| text(e, "pos") != "before");
        for e in before {
            expected.entry(text(e, "conn").into()).or_default().push(Expected::of(text(e, "hex"), &e["mask"]));
        }
        if !text(step, "response_hex").is_empty() {
            let reply = Expected::of(text(step, "response_hex"), &step["mask"]);
            expected.entry(conn.into()).or_default().push(reply);
        }
        for reply in list(step, "replies") {
            expected.entry(conn.into()).or_default().push(Expected::of(text(reply, "hex"), &reply["mask"]));
        }
        for e in after {
            expected.entry(text(e, "conn").into()).or_default().push(Expected::of(text(e, "hex"), &e["mask"]));
        }
        let mut complaints = Vec::new();
        for (conn, frames) in &expected {
            let mut got = self.server.take_sent(self.links[conn]);
            for frame in frames {
                let len = got.first_chunk::<4>().map_or(0, |head| 4 + i32::from_be_bytes(*head).max(0) as usize);
                let rest = got.split_off(len.min(got.len()));
                if let Err(what) = self.matches(frame, &got) {
                    complaints.push(format!("{conn}: {what}\n  want {}\n  got  {}", hex(&frame.bytes), hex(&got)));
                }
                got = rest;
            }
            if !got.is_empty() {
                complaints.push(format!("{conn}: surplus {}", hex(&got)));
            }
        }
        for link in self.server.unread() {
            let name = self.links.iter().find(|(_, l)| **l == link).map_or("?", |(name, _)| name).to_string();
            complaints.push(format!("{name}: not expected {}", hex(&self.server.take_sent(link))));
        }
        if let Some(link) = self.links.get(conn)
            && self.server.is_closed(*link) != (step["closed"] == Value::Bool(true))
        {
            complaints.push(format!("{conn}: closed is {}", self.server.is_closed(*link)));
        }
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
    }

    fn matches(&mut self, want: &Expected, got: &[u8]) -> Result<(), &'static str> {
        if want.bytes.len() != got.len() {
            return Err("length");
        }
        let mut want_left = want.bytes.clone();
        let mut got_left = got.to_vec();
        for (at, len, kind) in &want.mask {
            let range = *at..at + len;
            let bytes = &got[range.clone()];
            match kind.split_once(':').unwrap_or((kind, "")) {
                ("zxid", _) => continue,
                ("time", _) => {
                    let ms = |of: &[u8]| i64::from_be_bytes(of[range.clone()].try_into().expect("8 bytes"));
                    if (ms(&want.bytes) == 0) != (ms(got) == 0) {
                        return Err("no plausible time");
                    }
                }
                ("session", name) => {
                    let bytes: [u8; 8] = bytes.try_into().expect("8 bytes");
                    if *self.names.session.entry(name.into()).or_insert(bytes) != bytes {
                        return Err("another session");
                    }
                }
                ("passwd", name) => {
                    let bytes: [u8; 16] = bytes.try_into().expect("16 bytes");
                    if *self.names.password.entry(name.into()).or_insert(bytes) != bytes {
                        return Err("another password");
                    }
                }
                (set, _) => {
                    let width = if set == "strset" { 1 } else { 2 };
                    if strings(&want.bytes[range.clone()], width) != strings(bytes, width) {
                        return Err("another set");
                    }
                }
            }
            want_left[range.clone()].fill(0);
            got_left[range].fill(0);
        }
        if want_left == got_left { Ok(()) } else { Err("bytes") }
    }
}

/// A vector of records of `width` strings each.
fn strings(bytes: &[u8], width: usize) -> BTreeSet<Vec<Vec<u8>>> {
    let mut at = 4;
    let mut set = BTreeSet::new();
    while at < bytes.len() {
        let mut record = Vec::new();
        for _ in 0..width {
            let len = i32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
            record.push(bytes[at + 4..at + 4 + len].to_vec());
            at += 4 + len;
        }
        set.insert(record);
    }
    set
}

fn replay(file: &str) {
    let path = format!("{}/tests/vectors/client/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a vector")).expect("JSON");
    let mut complaints = Vec::new();
    for script in list(&json, "scripts") {
        let cfg = config(&json["profiles"][text(script, "profile")]);
        // An ensemble starts in epoch 1, a server alone at 0.
        let start = if file.starts_with("ensemble") { Zxid::new(1, 0) } else { Zxid::ZERO };
        let mut replay =
            Replay { server: Standalone::new(cfg, start), links: BTreeMap::new(), names: Names::default() };
        for (i, step) in list(script, "steps").iter().enumerate() {
            if let Err(what) = replay.step(step) {
                complaints.push(format!("{}: step {i}, {}: {what}", text(script, "name"), text(step, "name")));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

macro_rules! vectors {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*
    };
}

vectors!(
    acl,
    create,
    ensemble_auth,
    ensemble_local,
    ensemble_multi,
    handshake,
    malformed,
    multi,
    quota,
    reads,
    session,
    setwatches,
    special,
    versions,
    watches
);

/// Every request of the vectors, for noise.
fn requests() -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/client");
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("vectors").map(|e| e.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a vector")).expect("JSON");
        for script in list(&json, "scripts") {
            all.extend(list(script, "steps").iter().map(|step| unhex(text(step, "request_hex"))));
        }
    }
    all.retain(|request| !request.is_empty());
    all
}

fn are_frames(mut bytes: &[u8]) -> bool {
    while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
        match usize::try_from(i32::from_be_bytes(*head)) {
            Ok(len @ 16..) if len <= rest.len() => bytes = &rest[len..],
            _ => return false,
        }
    }
    bytes.is_empty()
}

#[test]
fn no_bytes_of_a_client_break_a_server() {
    let corpus = requests();
    let hello = corpus.iter().find(|r| r.len() == 49).expect("a new session").clone();
    let mut random = 0x5eed_u64;
    let mut draw = |n: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % n
    };
    for _ in 0..60 {
        let features = Features { extended_types: true, enforce_quota: true, ..Features::default() };
        let cfg = PeerConfig { sid: Sid(1), features, ..PeerConfig::default() };
        let mut server = Standalone::new(cfg, Zxid::ZERO);
        let mut links = Vec::new();
        for _ in 0..300 {
            if links.is_empty() || draw(12) == 0 {
                let link = server.open();
                server.bytes(link, if draw(8) == 0 { &corpus[draw(corpus.len())] } else { &hello });
                links.push(link);
            }
            let link = links[draw(links.len())];
            match draw(20) {
                0 => server.sleep(draw(4000) as i64),
                1 if !server.is_closed(link) => server.hang_up(link),
                _ => {
                    let mut bytes = corpus[draw(corpus.len())].clone();
                    match draw(4) {
                        0 => {
                            let at = draw(bytes.len());
                            bytes[at] = draw(256) as u8;
                        }
                        1 => {
                            // The frame says so many bytes, and they are others.
                            let at = bytes.len().min(8 + draw(20));
                            bytes[at..].iter_mut().for_each(|b| *b ^= draw(2) as u8);
                        }
                        _ => {}
                    }
                    let cut = draw(bytes.len() + 1);
                    server.bytes(link, &bytes[..cut]);
                    server.bytes(link, &bytes[cut..]);
                }
            }
            for link in server.unread() {
                let sent = server.take_sent(link);
                // Only a word that is not allowed is answered in text, behind which the connection ends.
                assert!(server.is_closed(link) || are_frames(&sent), "{}", hex(&sent));
            }
            links.retain(|link| !server.is_closed(*link));
        }
    }
}
