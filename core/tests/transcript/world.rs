//! A handful of Peers, the connections between them, their disks and one clock. What can happen happens at once, first come
//! first served, unless the script holds it; time passes only when the script says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use quorate_core::config::PeerConfig;
use quorate_core::error::{CloseReason, DiskError};
use quorate_core::event::{Action, Event, Input, Lane, LinkEvent, Outbox, Port};
use quorate_core::ids::{LinkId, Now};
use quorate_core::peer::Peer;

use crate::transcript::disk::{Disk, lane_index};
use crate::transcript::files::WALL;
use crate::transcript::printer::{self, Shown, Tap};

/// One server: a Peer while it runs, its disk always.
pub struct Server {
    pub cfg: PeerConfig,
    pub peer: Option<Peer>,
    pub disk: Disk,
    out: Outbox,
    accepted: u64,
    pub listening: BTreeSet<u8>,
}

/// One end of a connection.
pub struct End {
    /// A server's id, or the name of a scripted party.
    pub name: String,
    /// How the server calls it; scripted parties need no name.
    pub link: LinkId,
    open: bool,
    paused: bool,
    /// On its way to this end.
    inbound: VecDeque<Item>,
}

enum Item {
    Bytes(Vec<u8>),
    Closed,
}

/// A connection; end 0 opened it.
pub struct Conn {
    pub port: Port,
    pub ends: [End; 2],
    pub taps: [Tap; 2],
}

enum Happening {
    /// A connection is accepted, or refused when nobody listens any more.
    Open(usize),
    /// A connection attempt failed.
    Refused(String, LinkId),
    /// The oldest item on its way to this end arrives.
    Arrive(usize, usize),
    /// The oldest operation of this lane is done.
    Disk(String, usize),
}

/// Everything.
pub struct World {
    pub now: Now,
    pub servers: BTreeMap<String, Server>,
    pub conns: Vec<Conn>,
    queue: VecDeque<Happening>,
    /// Scripted parties that accept connections on these ports.
    pub listening: BTreeSet<(String, u8)>,
    pub cut: BTreeSet<(String, String)>,
    /// Directions in which bytes wait: from, to, port.
    pub held: BTreeSet<(String, String, u8)>,
    pub shown: Shown,
    pub text: String,
    pub quiet: bool,
    /// Bytes arrive in pieces of this many.
    pub piece: usize,
    /// What `state`, `disk` and `tree` printed.
    pub reports: Vec<String>,
    /// What scripted clients received, by name.
    pub received: BTreeMap<String, Vec<u8>>,
}

pub fn port_number(port: Port) -> u8 {
    match port {
        Port::Client => 0,
        Port::Election => 1,
        Port::Quorum => 2,
    }
}

pub fn port_name(port: Port) -> &'static str {
    ["client", "election", "quorum"][usize::from(port_number(port))]
}

/// The address of a server's port, as the configuration writes it.
pub fn address(name: &str, port: Port) -> String {
    format!("s{name}:{}", ["2181", "3888", "2888"][usize::from(port_number(port))])
}

/// Steps after which a transcript is taken for a storm.
const STORM: usize = 20_000;

impl World {
    pub fn new() -> Self {
        Self {
            now: Now { mono_ms: 0, wall_ms: WALL },
            servers: BTreeMap::new(),
            conns: Vec::new(),
            queue: VecDeque::new(),
            listening: BTreeSet::new(),
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            shown: Shown::default(),
            text: String::new(),
            quiet: false,
            piece: usize::MAX,
            reports: Vec::new(),
            received: BTreeMap::new(),
        }
    }

    pub fn line(&mut self, category: &str, line: &str) {
        if !self.quiet && self.shown.0.contains(category) {
            self.say(line);
        }
    }

    /// Prints whatever is shown.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.text.push_str("    ");
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    // ----- servers -----------------------------------------------------------------------------------------------

    pub fn add_server(&mut self, name: &str, cfg: PeerConfig) {
        let server = Server {
            cfg,
            peer: None,
            disk: Disk::default(),
            out: Outbox::new(),
            accepted: LinkId::ACCEPTED,
            listening: BTreeSet::new(),
        };
        self.servers.insert(name.into(), server);
    }

    pub fn server(&mut self, name: &str) -> &mut Server {
        self.servers.get_mut(name).unwrap_or_else(|| panic!("no server {name}"))
    }

    pub fn start(&mut self, name: &str) {
        let now = self.now;
        let server = self.server(name);
        assert!(server.peer.is_none(), "server {name} runs already");
        let mut peer = Peer::new(server.cfg.clone(), now);
        server.out = Outbox::new();
        peer.start(now, &mut server.out);
        server.peer = Some(peer);
        self.carry_out(name);
    }

    /// The process ends without a word. Its disk keeps what it has been told, or only what is durable.
    pub fn stop(&mut self, name: &str, lose_power: bool) {
        let server = self.server(name);
        server.peer = None;
        server.listening.clear();
        server.disk.forget_queues();
        if lose_power {
            server.disk.lose_power();
        }
        self.close_all(name);
    }

    fn close_all(&mut self, name: &str) {
        for c in 0..self.conns.len() {
            for e in 0..2 {
                if self.conns[c].ends[e].name == name {
                    self.close(c, e);
                }
            }
        }
    }

    /// Gives a running server an input and does what it answers.
    pub fn step(&mut self, name: &str, input: Input<'_>) {
        let now = self.now;
        let server = self.server(name);
        if let Some(peer) = &mut server.peer {
            peer.step(now, input, &mut server.out);
            self.carry_out(name);
        }
    }

    fn carry_out(&mut self, name: &str) {
        let out = std::mem::take(&mut self.server(name).out);
        for action in out.actions() {
            self.act(name, action, &out);
        }
        let mut out = out;
        out.clear();
        self.server(name).out = out;
    }

    fn act(&mut self, name: &str, action: &Action, out: &Outbox) {
        match action {
            Action::Listen(port) => {
                if self.server(name).listening.insert(port_number(*port)) {
                    self.line("opens", &format!("{name} listens for {}", port_name(*port)));
                }
            }
            Action::Unlisten(port) => {
                self.server(name).listening.remove(&port_number(*port));
                self.line("opens", &format!("{name} no longer listens for {}", port_name(*port)));
            }
            Action::Connect { link, port, address } => self.connect(name, *link, *port, address),
            Action::Send { link, payload } => {
                if let Some((c, e)) = self.find(name, *link) {
                    self.send(c, e, out.bytes_of(payload));
                }
            }
            Action::Close { link, why } => {
                if let Some((c, e)) = self.find(name, *link) {
                    let conn = &self.conns[c];
                    let (other, port) = (conn.ends[1 - e].name.clone(), port_name(conn.port));
                    // The tie-break of election connections closes all the time.
                    let usual = conn.port == Port::Election && matches!(why, CloseReason::Done | CloseReason::Replaced);
                    let category = if usual { "opens" } else { "closes" };
                    self.line(category, &format!("{name} -x {other} {port} closed: {why}"));
                    self.close(c, e);
                }
            }
            Action::Pause(link) | Action::Resume(link) => {
                if let Some((c, e)) = self.find(name, *link) {
                    let paused = matches!(action, Action::Pause(_));
                    self.line("flow", &format!("{name} {} reading", if paused { "pauses" } else { "resumes" }));
                    self.conns[c].ends[e].paused = paused;
                    self.wake(c, e);
                }
            }
            Action::Disk { lane, ticket, op } => {
                let lane = lane_index(*lane);
                let disk = &mut self.server(name).disk;
                disk.lanes[lane].push_back((*ticket, op.clone()));
                self.queue.push_back(Happening::Disk(name.into(), lane));
            }
            Action::FourLetter { link, .. } => {
                if let Some((c, e)) = self.find(name, *link) {
                    self.close(c, e);
                }
            }
            Action::Event(event) => self.event(name, event),
            Action::Halt(halt) => {
                self.line("state", &format!("{name} halts: {halt:?}"));
                let server = self.server(name);
                server.peer = None;
                server.listening.clear();
                server.disk.forget_queues();
                self.close_all(name);
            }
        }
    }

    fn event(&mut self, name: &str, event: &Event) {
        let (category, line) = printer::event(event);
        if !line.is_empty() {
            self.line(category, &format!("{name} {line}"));
        }
    }

    // ----- connections -------------------------------------------------------------------------------------------

    fn is_cut(&self, a: &str, b: &str) -> bool {
        self.cut.contains(&(a.into(), b.into())) || self.cut.contains(&(b.into(), a.into()))
    }

    fn is_held(&self, c: usize, to: usize) -> bool {
        let conn = &self.conns[c];
        let key = (conn.ends[1 - to].name.clone(), conn.ends[to].name.clone(), port_number(conn.port));
        self.held.contains(&key)
    }

    pub fn listens(&self, name: &str, port: Port) -> bool {
        let scripted = self.listening.contains(&(name.into(), port_number(port)));
        scripted || self.servers.get(name).is_some_and(|s| s.peer.is_some() && s.listening.contains(&port_number(port)))
    }

    fn connect(&mut self, from: &str, link: LinkId, port: Port, to: &str) {
        let target = to.strip_prefix('s').and_then(|t| t.split_once(':')).map_or(to, |(name, _)| name).to_string();
        if self.listens(&target, port) && !self.is_cut(from, &target) {
            self.open(from, link, port, &target);
        } else {
            self.line("opens", &format!("{from} -> {target} {} refused", port_name(port)));
            self.queue.push_back(Happening::Refused(from.into(), link));
        }
    }

    /// A connection is on its way; returns its number.
    pub fn open(&mut self, from: &str, link: LinkId, port: Port, to: &str) -> usize {
        let end =
            |name: &str, link| End { name: name.into(), link, open: true, paused: false, inbound: VecDeque::new() };
        let mut accepted = LinkId::default();
        if let Some(server) = self.servers.get_mut(to) {
            server.accepted += 1;
            accepted = LinkId(server.accepted);
        }
        let taps = [Tap::new(port, true), Tap::new(port, false)];
        self.conns.push(Conn { port, ends: [end(from, link), end(to, accepted)], taps });
        self.line("opens", &format!("{from} -> {to} {} connects", port_name(port)));
        self.queue.push_back(Happening::Open(self.conns.len() - 1));
        self.conns.len() - 1
    }

    /// The open connection of a server with this link.
    fn find(&self, name: &str, link: LinkId) -> Option<(usize, usize)> {
        let of = |end: &End| end.name == name && end.link == link && end.open;
        self.conns.iter().enumerate().find_map(|(c, conn)| conn.ends.iter().position(of).map(|e| (c, e)))
    }

    /// The newest open connection of a scripted party with this server; the number of the party's end.
    pub fn find_party(&self, party: &str, server: &str, port: Port) -> Option<(usize, usize)> {
        (0..self.conns.len()).rev().find_map(|c| {
            let conn = &self.conns[c];
            let e = conn.ends.iter().position(|end| end.name == party)?;
            let live = conn.ends[e].open && conn.port == port && conn.ends[1 - e].name == server;
            live.then_some((c, e))
        })
    }

    /// Bytes leave from this end.
    pub fn send(&mut self, c: usize, e: usize, bytes: &[u8]) {
        let held = if self.is_held(c, 1 - e) { " (held)" } else { "" };
        let conn = &mut self.conns[c];
        if conn.port == Port::Client && e == 1 {
            conn.taps[1].ops = conn.taps[0].ops.clone();
        }
        let lines = conn.taps[e].feed(bytes);
        let (from, to) = (conn.ends[e].name.clone(), conn.ends[1 - e].name.clone());
        if conn.port == Port::Client && e == 1 {
            self.received.entry(to.clone()).or_default().extend_from_slice(bytes);
        }
        conn.ends[1 - e].inbound.push_back(Item::Bytes(bytes.to_vec()));
        for (category, line) in lines {
            self.line(category, &format!("{from} -> {to} {line}{held}"));
        }
        self.queue.push_back(Happening::Arrive(c, 1 - e));
    }

    /// This end closes; the other one hears of it behind what was sent.
    pub fn close(&mut self, c: usize, e: usize) {
        if std::mem::replace(&mut self.conns[c].ends[e].open, false) {
            self.conns[c].ends[e].inbound.clear();
            self.conns[c].ends[1 - e].inbound.push_back(Item::Closed);
            self.queue.push_back(Happening::Arrive(c, 1 - e));
        }
    }

    /// Everything between two names breaks, in both directions at once.
    pub fn break_between(&mut self, a: &str, b: &str, port: Option<Port>) {
        for c in 0..self.conns.len() {
            if port.is_some_and(|p| p != self.conns[c].port) {
                continue;
            }
            let names = [self.conns[c].ends[0].name.clone(), self.conns[c].ends[1].name.clone()];
            if names == [a, b] || names == [b, a] {
                for e in 0..2 {
                    let end = &mut self.conns[c].ends[e];
                    if end.open {
                        end.inbound.clear();
                        end.inbound.push_back(Item::Closed);
                        self.queue.push_back(Happening::Arrive(c, e));
                    }
                }
            }
        }
    }

    /// What waits for this end may arrive again.
    pub fn wake(&mut self, c: usize, e: usize) {
        for _ in 0..self.conns[c].ends[e].inbound.len() {
            self.queue.push_back(Happening::Arrive(c, e));
        }
    }

    pub fn wake_all(&mut self) {
        for c in 0..self.conns.len() {
            self.wake(c, 0);
            self.wake(c, 1);
        }
    }

    pub fn wake_disk(&mut self, name: &str, lane: usize, n: usize) {
        for _ in 0..n.min(self.server(name).disk.lanes[lane].len()) {
            self.queue.push_back(Happening::Disk(name.into(), lane));
        }
    }

    // ----- what happens ------------------------------------------------------------------------------------------

    /// Lets everything happen that can happen now.
    pub fn run(&mut self) {
        for _ in 0..STORM {
            if let Some(happening) = self.queue.pop_front() {
                self.happen(happening, false);
            } else if let Some(name) = self.due() {
                self.step(&name, Input::Tick);
            } else {
                return;
            }
        }
        panic!("a storm: {STORM} steps and no rest\n{}", self.text);
    }

    /// A server whose deadline has come.
    fn due(&self) -> Option<String> {
        let now = self.now.mono_ms;
        let due = |s: &Server| s.peer.as_ref().and_then(Peer::next_deadline).is_some_and(|at| at <= now);
        self.servers.iter().find(|(_, s)| due(s)).map(|(name, _)| name.clone())
    }

    /// Time passes, with everything that is due on the way.
    pub fn advance(&mut self, ms: i64) {
        let target = self.now.mono_ms + ms;
        loop {
            self.run();
            let next = self.servers.values().filter_map(|s| s.peer.as_ref()?.next_deadline()).min();
            let at = next.unwrap_or(i64::MAX).min(target);
            self.now = Now { mono_ms: at, wall_ms: WALL + at };
            if at == target {
                break;
            }
        }
        self.run();
    }

    /// The oldest operation of a held lane is done. Gives its line; `None` when nothing waits.
    pub fn disk_done(&mut self, name: &str, lane: usize) -> Option<String> {
        let (_, line) = printer::disk_op(&self.server(name).disk.lanes[lane].front()?.1);
        self.happen(Happening::Disk(name.into(), lane), true);
        Some(line)
    }

    fn happen(&mut self, happening: Happening, even_held: bool) {
        match happening {
            Happening::Open(c) => self.opened(c),
            Happening::Refused(name, link) => self.step(&name, Input::Link { link, event: LinkEvent::Closed }),
            Happening::Arrive(c, e) => self.arrive(c, e),
            Happening::Disk(name, lane) => {
                let disk = &mut self.server(&name).disk;
                if disk.held[lane] && !even_held {
                    return;
                }
                let Some((ticket, op)) = disk.lanes[lane].pop_front() else { return };
                let (category, line) = printer::disk_op(&op);
                let fails = disk.fail[lane].as_ref().is_some_and(|what| line.starts_with(what.as_str()));
                let result = if fails {
                    disk.fail[lane] = None;
                    Err(DiskError::Io("scripted".into()))
                } else {
                    disk.execute(&op)
                };
                let how = match &result {
                    Ok(_) => "",
                    Err(DiskError::NotFound) => " (not found)",
                    Err(_) => " FAILS",
                };
                self.line(category, &format!("{name} disk {line}{how}"));
                self.step(&name, Input::Disk { ticket, result });
            }
        }
    }

    fn opened(&mut self, c: usize) {
        let (port, names) = (self.conns[c].port, [0, 1].map(|e| self.conns[c].ends[e].name.clone()));
        let remote: SocketAddr = "10.0.0.1:1".parse().expect("an address");
        for e in [1, 0] {
            let end = &self.conns[c].ends[e];
            if end.open && self.servers.contains_key(&names[e]) {
                let input = Input::Link { link: end.link, event: LinkEvent::Opened { port, remote } };
                self.step(&names[e], input);
            }
        }
    }

    fn arrive(&mut self, c: usize, e: usize) {
        if self.is_held(c, e) || self.conns[c].ends[e].paused || !self.conns[c].ends[e].open {
            return;
        }
        let Some(item) = self.conns[c].ends[e].inbound.pop_front() else { return };
        let (name, link) = (self.conns[c].ends[e].name.clone(), self.conns[c].ends[e].link);
        match item {
            Item::Bytes(bytes) => {
                let sender = &self.conns[c].ends[1 - e];
                if sender.open && self.servers.contains_key(&sender.name) {
                    let (from, link) = (sender.name.clone(), sender.link);
                    self.step(&from, Input::Link { link, event: LinkEvent::Drained(bytes.len()) });
                }
                let pieces = bytes.chunks(self.piece.min(bytes.len()).max(1));
                for piece in pieces {
                    if self.servers.contains_key(&name) && self.conns[c].ends[e].open {
                        self.step(&name, Input::Link { link, event: LinkEvent::Bytes(piece) });
                    }
                }
            }
            Item::Closed => {
                self.conns[c].ends[e].open = false;
                if self.servers.contains_key(&name) {
                    self.step(&name, Input::Link { link, event: LinkEvent::Closed });
                }
            }
        }
    }
}

pub fn lane_of(text: &str) -> usize {
    match text {
        "log" => lane_index(Lane::Log),
        "bulk" => lane_index(Lane::Bulk),
        other => panic!("a lane is log or bulk, not {other}"),
    }
}
