//! Servers of the simulated world that somebody talks to byte by byte: recorded conversations are replayed so.
//!
//! Nothing is broken in it and it has no clients of its own; network, disks and clocks are those of every run.

use quorate_core::config::PeerConfig;
use quorate_core::event::Role;
use quorate_core::ids::{Millis, Zxid};
use quorate_core::peer::Peer;

use crate::Options;
use crate::network::ConnId;
use crate::observe::NoCheck;
use crate::spec::RunSpec;
use crate::world::World;

/// A connection to a client port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Link(ConnId);

/// See the module.
pub struct Conversation<'a> {
    world: World<'a>,
}

impl<'a> Conversation<'a> {
    /// Servers that start now, each with its configuration, except that storage, seed and trace are those of `spec`. A server
    /// without an ensemble stands alone. Nothing is checked here: checks would have to know what clients ask for.
    ///
    /// # Panics
    /// When `spec` has another number of servers.
    pub fn new(spec: &'a RunSpec, configurations: Vec<PeerConfig>, check: &'a mut NoCheck) -> Self {
        assert_eq!(configurations.len(), spec.servers(), "one configuration for each server");
        let mut world = World::new(spec, check, Options::default());
        world.told = configurations;
        world.switch_on();
        Self { world }
    }

    fn peer(&self, server: usize) -> Option<&Peer> {
        self.world.nodes[server].server()
    }

    /// What a server is, if clients may attach to it.
    #[must_use]
    pub fn serves_as(&self, server: usize) -> Option<Role> {
        self.peer(server).filter(|peer| peer.serving()).map(Peer::role)
    }

    /// The zxid of the last transaction that a server has applied.
    #[must_use]
    pub fn applied(&self, server: usize) -> Zxid {
        self.peer(server).map_or(Zxid::ZERO, Peer::applied_zxid)
    }

    /// Connects, from the loopback address.
    pub fn connect(&mut self, server: usize) -> Link {
        Link(self.world.visit(server))
    }

    /// Sends these bytes at once.
    pub fn send(&mut self, link: Link, bytes: &[u8]) {
        self.world.send_as_client(link.0, bytes);
    }

    /// What has come and was not taken.
    ///
    /// # Panics
    /// When the link is of another conversation.
    #[must_use]
    pub fn received(&self, link: Link) -> &[u8] {
        &self.world.visitors[&link.0].received
    }

    /// Takes the first `count` bytes, or all that there are.
    pub fn take(&mut self, link: Link, count: usize) -> Vec<u8> {
        let Some(visitor) = self.world.visitors.get_mut(&link.0) else { return Vec::new() };
        let rest = visitor.received.split_off(count.min(visitor.received.len()));
        std::mem::replace(&mut visitor.received, rest)
    }

    /// Whether the server has closed it, behind the bytes received.
    #[must_use]
    pub fn is_closed(&self, link: Link) -> bool {
        self.world.visitors.get(&link.0).is_none_or(|visitor| visitor.closed)
    }

    /// Closes from this side.
    pub fn hang_up(&mut self, link: Link) {
        self.world.hang_up(link.0, 0, true);
    }

    /// Lets time pass.
    pub fn pass(&mut self, ms: Millis) {
        self.pass_until(ms, |_| false);
    }

    /// Lets time pass until this is so, or for so long. Tells whether it is so.
    pub fn pass_until(&mut self, ms: Millis, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.world.now + u64::try_from(ms).unwrap_or(0) * 1000;
        while !is_so(self) {
            let due = self.world.queue.next_at().is_some_and(|at| at <= end);
            let next = if due { self.world.queue.pop() } else { None };
            let Some((at, plan)) = next else {
                self.world.now = end;
                return false;
            };
            self.world.at(at, plan);
        }
        true
    }
}
