//! The commands of a transcript.

use std::collections::BTreeMap;

use quorate_core::config::{Configuration, Ensemble, Member, MemberKind, PeerConfig};
use quorate_core::event::{AdminCommand, Dir, FileName, Input, Port};
use quorate_core::ids::{Sid, Zxid};

use crate::transcript::files;
use crate::transcript::party::Client;
use crate::transcript::printer::{CATEGORIES, zxid};
use crate::transcript::world::{World, address, lane_of, port_number};

/// The words of a command behind its name: plain ones, and `key=value`.
pub struct Args<'a> {
    pub words: Vec<&'a str>,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Args<'a> {
    pub fn new(words: &[&'a str]) -> Self {
        let (mut plain, mut pairs) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some(pair) => pairs.push(pair),
                None => plain.push(*word),
            }
        }
        Self { words: plain, pairs }
    }
    pub fn word(&self, i: usize) -> &'a str {
        self.words.get(i).copied().unwrap_or_else(|| panic!("word {i} is missing in {:?}", self.words))
    }
    pub fn flag(&self, name: &str) -> bool {
        self.words.contains(&name)
    }
    pub fn find(&self, key: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }
    pub fn value(&self, key: &str, default: &'a str) -> &'a str {
        self.find(key).unwrap_or(default)
    }
    pub fn number(&self, key: &str, default: i64) -> i64 {
        let parse = |text: &str| {
            if text.starts_with("0x") { zxid(text).0 } else { text.parse().unwrap_or_else(|e| panic!("{key}: {e}")) }
        };
        self.find(key).map_or(default, parse)
    }
    /// All plain words that are ranges of zxids.
    pub fn zxids(&self) -> Vec<Zxid> {
        self.words.iter().filter(|w| w.starts_with("0x")).flat_map(|w| range(w)).collect()
    }
}

/// `0x100000002` or `0x100000002..5`: the last number is a counter in the same epoch.
fn range(text: &str) -> Vec<Zxid> {
    let Some((from, to)) = text.split_once("..") else { return vec![zxid(text)] };
    let from = zxid(from);
    let to = zxid(&format!("0x{}", to.trim_start_matches("0x"))).counter();
    (from.counter()..=to).map(|c| Zxid::new(from.epoch(), c)).collect()
}

/// Zxids as ranges, as scripts write them.
fn ranges(zxids: &[Zxid]) -> String {
    let mut parts: Vec<(Zxid, Zxid)> = Vec::new();
    for z in zxids {
        match parts.last_mut() {
            Some((_, to)) if to.next() == *z && to.epoch() == z.epoch() => *to = *z,
            _ => parts.push((*z, *z)),
        }
    }
    let part = |(a, b): &(Zxid, Zxid)| if a == b { a.to_string() } else { format!("{a}..{:x}", b.counter()) };
    if parts.is_empty() { "nothing".into() } else { parts.iter().map(part).collect::<Vec<_>>().join(" ") }
}

/// What a script carries from one command to the next.
pub struct Script {
    base: PeerConfig,
    pub config_text: String,
    members: Vec<String>,
    pub clients: BTreeMap<String, Client>,
}

impl Default for Script {
    fn default() -> Self {
        let mut base = PeerConfig { trace: true, ..PeerConfig::default() };
        base.timing.tick_ms = 2000;
        base.storage.prealloc_bytes = 0;
        Self { base, config_text: String::new(), members: Vec::new(), clients: BTreeMap::new() }
    }
}

fn port(text: &str) -> Port {
    match text {
        "client" => Port::Client,
        "election" => Port::Election,
        "quorum" => Port::Quorum,
        other => panic!("no port {other}"),
    }
}

impl Script {
    pub fn command(&mut self, w: &mut World, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let args = Args::new(&words[1..]);
        match words[0] {
            "quiet" => {
                w.quiet = true;
                self.command(w, line.trim_start_matches("quiet").trim_start());
                w.quiet = false;
                return;
            }
            "config" => self.configure(&args),
            "ensemble" => self.ensemble(w, &args),
            "seed" => seed(w, &words[1..]),
            "start" => args.words.iter().for_each(|name| w.start(name)),
            "kill" | "crash" => args.words.iter().for_each(|name| w.stop(name, words[0] == "crash")),
            "time" => w.advance(words[1].parse().expect("time takes ms")),
            "cut" => {
                w.cut.insert((words[1].into(), words[2].into()));
                w.break_between(words[1], words[2], None);
            }
            "break" => w.break_between(words[1], words[2], words.get(3).map(|p| port(p))),
            "heal" => w.cut.retain(|(a, b)| !(words[1..].contains(&a.as_str()) && words[1..].contains(&b.as_str()))),
            "hold" | "release" | "step" if words[1] == "disk" => disk_lane(w, words[0], &words[2..]),
            "hold" | "release" => hold(w, words[0] == "hold", &words[1..]),
            "fail" => {
                let what = words[4..].join(" ");
                w.server(words[2]).disk.fail[lane_of(words[3])] = Some(what);
            }
            "damage" | "tear" | "blank" => harm_record(w, words[0], words[1], zxid(words[2])),
            "write" => {
                let text = words[3..].join(" ");
                w.server(words[1]).disk.put(file(words[2]), text.into_bytes());
            }
            "remove" => w.server(words[1]).disk.remove(&file(words[2])),
            "raw" => self.raw_command(w, &words[1..]),
            "elect" => self.elect(w, words[1], words[3], &args),
            "alone" => {
                let mut cfg = self.base.clone();
                cfg.sid = Sid(words[1].parse().expect("servers are numbered"));
                w.add_server(words[1], cfg);
            }
            "client" => self.client(w, words[1], words[2], &Args::new(&words[3..])),
            "admin" => {
                let command = match words[2] {
                    "snapshot" => AdminCommand::Snapshot,
                    "shutdown" => AdminCommand::Shutdown,
                    other => panic!("no admin command {other}"),
                };
                w.step(words[1], Input::Admin(command));
            }
            "show" | "hide" => {
                for word in &words[1..] {
                    let category = CATEGORIES.iter().find(|c| *c == word);
                    let category = category.unwrap_or_else(|| panic!("no category {word}"));
                    if words[0] == "show" {
                        w.shown.0.insert(category)
                    } else {
                        w.shown.0.remove(category)
                    };
                }
            }
            "node" => {
                let peer = w.server(words[1]).peer.as_ref().expect("the server runs");
                let data = peer.tree().node(words[2]).and_then(|n| n.data()).unwrap_or_default();
                let line = format!("{} {} holds {:?}", words[1], words[2], String::from_utf8_lossy(data));
                w.say(&line);
            }
            "digest" => {
                let wanted = files::named(Dir::Data, "snapshot", zxid(words[2]));
                let files = &w.server(words[1]).disk;
                let (_, bytes) = files.files(true).find(|(file, _)| **file == wanted).expect("a snapshot of that name");
                let says = if files::names_digest(bytes) { "a digest" } else { "no digest" };
                let line = format!("{} {} names {says}", words[1], wanted.name);
                w.say(&line);
            }
            "state" | "disk" | "tree" => self.report(w, words[0], &words[1..]),
            other => panic!("no command {other}"),
        }
        w.run();
    }

    fn configure(&mut self, args: &Args<'_>) {
        let c = &mut self.base;
        c.timing.tick_ms = args.number("tick", c.timing.tick_ms);
        c.timing.init_limit = args.number("init", c.timing.init_limit);
        c.timing.sync_limit = args.number("sync", c.timing.sync_limit);
        c.limits.window_count = args.number("window", c.limits.window_count as i64) as usize;
        c.limits.snap_chunk_bytes = args.number("chunk", c.limits.snap_chunk_bytes as i64) as usize;
        c.storage.snapshot_size_factor_permille = args.number("factor", c.storage.snapshot_size_factor_permille);
        c.limits.learner_queue_bytes = args.number("queue", c.limits.learner_queue_bytes as i64) as usize;
        c.storage.snap_count = args.number("snapcount", c.storage.snap_count as i64) as u64;
        c.storage.autocreate = args.number("autocreate", c.storage.autocreate.into()) != 0;
        c.features.read_only_mode = args.number("readonly", c.features.read_only_mode.into()) != 0;
        c.features.local_sessions = args.number("local", c.features.local_sessions.into()) != 0;
        c.features.local_sessions_upgrading = args.number("upgrade", c.features.local_sessions_upgrading.into()) != 0;
        c.features.extended_types = args.number("extended", c.features.extended_types.into()) != 0;
        c.limits.connects.tokens = args.number("tokens", c.limits.connects.tokens.into()) as u32;
        c.limits.connects.fill_ms = args.number("fill", c.limits.connects.fill_ms);
        c.features.tree_digest = args.number("digest", c.features.tree_digest.into()) != 0;
    }

    fn ensemble(&mut self, w: &mut World, args: &Args<'_>) {
        let mut kind = MemberKind::Participant;
        let mut members = Vec::new();
        for word in &args.words {
            match *word {
                "observer" => kind = MemberKind::Observer,
                "participant" => kind = MemberKind::Participant,
                sid => members.push(Member {
                    sid: Sid(sid.parse().expect("servers are numbered")),
                    quorum: address(sid, Port::Quorum).as_str().into(),
                    election: address(sid, Port::Election).as_str().into(),
                    client: None,
                    kind,
                    weight: 1,
                    group: None,
                }),
            }
        }
        members.sort_by_key(|m| m.sid);
        let ensemble = Ensemble { members, version: 0 };
        self.config_text = ensemble.text();
        self.members = ensemble.members.iter().map(|m| m.sid.to_string()).collect();
        let shared = Configuration::new(ensemble.clone());
        for member in &ensemble.members {
            let mut cfg = self.base.clone();
            cfg.sid = member.sid;
            cfg.kind = member.kind;
            cfg.seed = member.sid.0 as u64;
            cfg.ensemble = Some(shared.clone());
            w.add_server(&member.sid.to_string(), cfg);
        }
    }

    fn raw_command(&mut self, w: &mut World, words: &[&str]) {
        match words {
            [party, "listen", on] => {
                w.servers.remove(*party);
                w.listening.insert(((*party).into(), port_number(port(on))));
            }
            [party, "-x", server, on] => {
                let (c, e) = w.find_party(party, server, port(on)).expect("there is a connection");
                w.close(c, e);
            }
            [party, "->", server, on, what, rest @ ..] => {
                w.servers.remove(*party);
                self.raw(w, party, server, port(on), what, &Args::new(rest));
            }
            other => panic!("raw {other:?}"),
        }
    }

    /// Every other member is played by the script: `leader` leads them, and says so to `server`.
    fn elect(&mut self, w: &mut World, leader: &str, server: &str, args: &Args<'_>) {
        let quiet = std::mem::replace(&mut w.quiet, true);
        self.raw_command(w, &[leader, "listen", "quorum"]);
        let vote = [format!("leader={leader}"), format!("epoch={}", args.number("epoch", 0))];
        for party in self.members.clone().iter().filter(|m| *m != server) {
            if w.find_party(party, server, Port::Election).is_none() {
                self.raw_command(w, &[party, "->", server, "election", "hello"]);
            }
            let state = if party == leader { "LEADING" } else { "FOLLOWING" };
            self.raw_command(w, &[party, "->", server, "election", state, &vote[0], &vote[1]]);
        }
        w.quiet = quiet;
        w.run();
    }

    fn report(&self, w: &mut World, what: &str, names: &[&str]) {
        let all: Vec<String> = w.servers.keys().cloned().collect();
        let names = if names.is_empty() { all } else { names.iter().map(ToString::to_string).collect() };
        for name in names {
            let line = match what {
                "state" => state(w, &name),
                "tree" => tree(w, &name),
                _ => durable(w, &name),
            };
            w.say(&line);
            w.reports.push(line);
        }
    }
}

fn state(w: &mut World, name: &str) -> String {
    let now = w.now;
    let Some(peer) = &w.server(name).peer else { return format!("{name} is down") };
    let v = peer.view(now);
    let leader = v.leader.map_or(String::new(), |l| format!(" of {l}"));
    format!(
        "{name} {}{leader}, epoch {}, logged {}, applied {}, {}{:?}",
        v.role.name(),
        v.epoch,
        v.logged,
        v.applied,
        if v.serving { "serving, " } else { "" },
        v.health
    )
}

fn tree(w: &mut World, name: &str) -> String {
    let peer = w.server(name).peer.as_ref().expect("the server runs");
    let root = peer.tree().node("/").expect("there is always a root");
    let mut names: Vec<&str> = root.children().collect();
    names.sort_unstable();
    format!("{name} at {}: {}", peer.applied_zxid(), names.join(" "))
}

/// What a power loss would leave.
fn durable(w: &mut World, name: &str) -> String {
    let disk = &w.server(name).disk;
    let mut logs: Vec<(i64, &[u8])> = Vec::new();
    let mut snapshots: Vec<i64> = Vec::new();
    let (mut accepted, mut current) = ("none".to_string(), "none".to_string());
    for (file, bytes) in disk.files(true) {
        let number = |prefix: &str| i64::from_str_radix(file.name.strip_prefix(prefix)?, 16).ok();
        if let Some(z) = number("log.") {
            logs.push((z, bytes));
        } else if let Some(z) = number("snapshot.") {
            snapshots.push(z);
        } else if &*file.name == "acceptedEpoch" {
            accepted = String::from_utf8_lossy(bytes).trim().into();
        } else if &*file.name == "currentEpoch" {
            current = String::from_utf8_lossy(bytes).trim().into();
        }
    }
    logs.sort_unstable();
    snapshots.sort_unstable();
    let zxids: Vec<Zxid> =
        logs.iter().flat_map(|(_, f)| files::records(f)).map(|(_, payload)| files::zxid_of(payload)).collect();
    let snapshots: Vec<String> = snapshots.iter().map(|z| Zxid(*z).to_string()).collect();
    format!(
        "{name} durable: log {}, snapshots {}, accepted {accepted}, current {current}",
        ranges(&zxids),
        if snapshots.is_empty() { "none".into() } else { snapshots.join(" ") }
    )
}

/// `seed N [snapshot R...] [log R...] [accepted E] [current E]`
fn seed(w: &mut World, words: &[&str]) {
    let name = words[0];
    let (mut snapshot, mut log) = (Vec::new(), Vec::new());
    let mut mode = "";
    for word in &words[1..] {
        match (mode, *word) {
            (_, "snapshot" | "log" | "accepted" | "current") => mode = word,
            ("snapshot", r) => snapshot.extend(range(r)),
            ("log", r) => log.extend(range(r)),
            (file, epoch) => {
                let name_of = FileName::new(Dir::Data, &format!("{file}Epoch"));
                w.server(name).disk.put(name_of, epoch.as_bytes().to_vec());
            }
        }
    }
    let disk = &mut w.server(name).disk;
    let last = snapshot.last().copied().unwrap_or_default();
    disk.put(files::named(Dir::Data, "snapshot", last), files::snapshot(&snapshot));
    if let Some(first) = log.first() {
        let before = snapshot.iter().filter(|z| *z < first).count();
        disk.put(files::named(Dir::Log, "log", *first), files::log(&log, before));
    }
}

fn file(text: &str) -> FileName {
    let (dir, name) = text.split_once('/').expect("files are written dir/name");
    let dir = match dir {
        "data" => Dir::Data,
        "log" => Dir::Log,
        "side" => Dir::Side,
        "base" => Dir::Base,
        other => panic!("no directory {other}"),
    };
    FileName::new(dir, name)
}

/// A flipped byte in the record, or the end of the log in its middle.
fn harm_record(w: &mut World, how: &str, name: &str, zxid: Zxid) {
    let server = w.server(name);
    assert!(server.peer.is_none(), "files are harmed while the server is down");
    let found = server.disk.files(false).find_map(|(file, bytes)| {
        let records = if file.dir == Dir::Log { files::records(bytes) } else { Vec::new() };
        let record = records.iter().find(|(_, payload)| files::zxid_of(payload) == zxid)?;
        Some((file.clone(), record.0, record.1.len()))
    });
    let (file, at, len) = found.unwrap_or_else(|| panic!("{zxid} is not in the log of {name}"));
    server.disk.edit(&file, |bytes| match how {
        "tear" => bytes.truncate(at + len / 2),
        // Its length and checksum stand before it, a byte behind it.
        "blank" => bytes[at - 12..=at + len].fill(0),
        _ => bytes[at + len - 1] ^= 1,
    });
}

fn hold(w: &mut World, hold: bool, words: &[&str]) {
    let (a, arrow, b) = (words[0], words[1], words[2]);
    let ports: Vec<u8> = words.get(3).map_or(vec![0, 1, 2], |p| vec![port_number(port(p))]);
    for p in ports {
        let mut directions = vec![(a.to_string(), b.to_string(), p)];
        if arrow == "<->" {
            directions.push((b.into(), a.into(), p));
        }
        for direction in directions {
            if hold {
                w.held.insert(direction)
            } else {
                w.held.remove(&direction)
            };
        }
    }
    if !hold {
        w.wake_all();
    }
}

fn disk_lane(w: &mut World, what: &str, words: &[&str]) {
    let (name, lane) = (words[0], lane_of(words[1]));
    match what {
        "hold" => w.server(name).disk.held[lane] = true,
        "release" => {
            w.server(name).disk.held[lane] = false;
            w.wake_disk(name, lane, usize::MAX);
        }
        _ => {
            let until = words.get(2).map_or(String::new(), |_| words[3..].join(" "));
            loop {
                let done = w.disk_done(name, lane).unwrap_or_else(|| panic!("nothing that begins with {until:?} came"));
                w.run();
                if done.starts_with(&until) {
                    break;
                }
            }
        }
    }
}
