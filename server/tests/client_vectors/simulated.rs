//! Servers of the simulator, spoken to over its connections.

use std::collections::BTreeMap;

use quorate_core::config::PeerConfig;
use quorate_core::event::Role;
use quorate_core::ids::Millis;
use quorate_sim::RunSpec;
use quorate_sim::conversation::{Conversation, Link};
use quorate_sim::observe::NoCheck;
use quorate_sim::spec::{Timing, Topology};

use crate::Stage;
use crate::otherwise::Otherwise;
use crate::replay::{self, Servers};
use crate::script::{Profile, Script};

/// The longest that anything awaited may take, ms of virtual time.
const PATIENCE: Millis = 60_000;

/// Between two steps, as in the recordings.
const PACE: Millis = 200;

/// Servers by the recording's names, and connections by its labels.
pub(crate) struct Simulated<'a> {
    conversation: Conversation<'a>,
    named: Vec<(String, usize)>,
    links: BTreeMap<String, Link>,
}

/// Holds a conversation; what it returns is what was wrong, to be read by a person.
pub(crate) fn hold(script: &Script, profile: &Profile, stage: &Stage, otherwise: &[Otherwise]) -> Vec<String> {
    with(profile, stage, |servers| replay::replay(script, servers, stage.zxids, otherwise))
}

/// Talks to fresh, empty servers with these settings.
pub(crate) fn with<T>(profile: &Profile, stage: &Stage, talk: impl FnOnce(&mut dyn Servers) -> T) -> T {
    let servers = stage.voters + stage.observers;
    let configurations: Vec<PeerConfig> = (1..=servers).map(|id| configuration(profile, stage, id)).collect();
    let timing = &configurations[0].timing;
    let spec = RunSpec {
        topology: Topology {
            voters: stage.voters as u32,
            observers: stage.observers as u32,
            clients: 0,
            local_sessions: configurations[0].features.local_sessions,
            ..Topology::default()
        },
        timing: Timing {
            tick_ms: timing.tick_ms,
            session_ms: [timing.min_session_ms, timing.max_session_ms],
            snap_count: 1000,
            window: 1000,
            epoch_len: 1 << 20,
            ..Timing::default()
        },
        ..RunSpec::default()
    };
    // The simulator's own checks would have to know who asks for what.
    let mut check = NoCheck;
    talk(&mut Simulated::new(Conversation::new(&spec, configurations, &mut check), servers, stage))
}

impl<'a> Simulated<'a> {
    /// Waits until each of the servers is what it is to be, then names them.
    fn new(mut conversation: Conversation<'a>, servers: usize, stage: &Stage) -> Self {
        let serving = |c: &Conversation<'_>| (0..servers).all(|n| c.serves_as(n).is_some());
        assert!(conversation.pass_until(PATIENCE, serving), "every server serves");
        let rank = |n: &usize| match conversation.serves_as(*n) {
            Some(Role::Leading | Role::Standalone) => 0,
            Some(Role::Following) => 1,
            _ => 2,
        };
        let mut order: Vec<usize> = (0..servers).collect();
        order.sort_by_key(rank);
        let mut named: Vec<(String, usize)> = stage.names.iter().map(|name| (*name).to_owned()).zip(order).collect();
        named.sort_by_key(|(name, _)| name != stage.usual);
        Self { conversation, named, links: BTreeMap::new() }
    }

    fn link(&self, conn: &str) -> Result<Link, String> {
        self.links.get(conn).copied().ok_or_else(|| format!("no connection {conn}"))
    }
}

/// What a server is told: as `quorate serve` is, through its configuration.
fn configuration(profile: &Profile, stage: &Stage, id: usize) -> PeerConfig {
    let all = stage.voters + stage.observers;
    let member = |n: usize| {
        let kind = if n <= stage.voters { "participant" } else { "observer" };
        format!("server.{n}=s{n}:2888:3888:{kind}\n")
    };
    let members: String = if all > 1 { (1..=all).map(member).collect() } else { String::new() };
    profile.load(id, &members)
}

/// The length of the frame that these bytes begin with, with its prefix.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|head| 4 + u32::from_be_bytes(*head) as usize)
}

impl Servers for Simulated<'_> {
    fn connect(&mut self, conn: &str, server: &str) -> Result<(), String> {
        let named = self.named.iter().find(|(name, _)| name == server || server.is_empty());
        let (_, node) = named.ok_or_else(|| format!("no server {server}"))?;
        self.links.insert(conn.to_owned(), self.conversation.connect(*node));
        Ok(())
    }

    fn send(&mut self, conn: &str, bytes: &[u8]) -> Result<(), String> {
        let link = self.link(conn)?;
        self.conversation.send(link, bytes);
        Ok(())
    }

    fn frame(&mut self, conn: &str) -> Result<Vec<u8>, String> {
        let link = self.link(conn)?;
        let whole = |c: &Conversation<'_>| {
            let bytes = c.received(link);
            frame_length(bytes).is_some_and(|length| bytes.len() >= length)
        };
        if !self.conversation.pass_until(PATIENCE, |c| whole(c) || c.is_closed(link)) || !whole(&self.conversation) {
            let (got, closed) = (self.conversation.received(link), self.conversation.is_closed(link));
            return Err(format!("no frame came, but {got:02x?}, closed: {closed}"));
        }
        let length = frame_length(self.conversation.received(link)).unwrap();
        Ok(self.conversation.take(link, length))
    }

    fn rest(&mut self, conn: &str) -> Result<Vec<u8>, String> {
        let link = self.links.remove(conn).ok_or_else(|| format!("no connection {conn}"))?;
        let closed = self.conversation.pass_until(PATIENCE, |c| c.is_closed(link));
        let bytes = self.conversation.take(link, usize::MAX);
        if closed { Ok(bytes) } else { Err(format!("the server does not close the connection; it sent {bytes:02x?}")) }
    }

    fn hang_up(&mut self, conn: &str) -> Result<(), String> {
        let link = self.links.remove(conn).ok_or_else(|| format!("no connection {conn}"))?;
        if self.conversation.is_closed(link) {
            return Err("already gone".to_owned());
        }
        self.conversation.hang_up(link);
        Ok(())
    }

    fn sleep(&mut self, seconds: f64, _awaited: bool) {
        self.conversation.pass((seconds * 1000.0) as Millis);
    }

    fn settle(&mut self) -> Result<(), String> {
        self.conversation.pass(PACE);
        let level = |c: &Conversation<'_>| self.named.iter().all(|(_, n)| c.applied(*n) == c.applied(self.named[0].1));
        if level(&self.conversation) { Ok(()) } else { Err("servers do not come to the same zxid".to_owned()) }
    }
}
