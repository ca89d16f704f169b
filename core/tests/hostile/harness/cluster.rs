//! Peers, the connections between them, disks that do everything they are told and forget it, one clock. What can happen happens
//! at once, first come first served; time passes when it is told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use quorate_core::config::{Configuration, Ensemble, Member, MemberKind, PeerConfig};
use quorate_core::error::{CloseReason, DiskError};
use quorate_core::event::{Action, DiskOp, DiskReply, Event, Input, LinkEvent, Outbox, Port, Role};
use quorate_core::ids::{LinkId, Millis, Now, SessionId, Sid, Ticket};
use quorate_core::peer::Peer;

use super::meter::allocated;

/// What a client connection of the server under test experiences.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    Sent(LinkId, Vec<u8>),
    Closed(LinkId, CloseReason),
    Pause(LinkId),
    Resume(LinkId),
    /// A four-letter word that the driver answers; the link is the driver's from now on.
    Word(LinkId),
}

#[derive(Clone, Debug)]
struct Server {
    peer: Peer,
    out: Outbox,
    accepted: u64,
    listens: BTreeSet<u8>,
}

#[derive(Clone, Debug)]
enum Happening {
    Opened { server: usize, link: LinkId, port: Port },
    Bytes { server: usize, link: LinkId, bytes: Vec<u8> },
    Drained { server: usize, link: LinkId, n: usize },
    Closed { server: usize, link: LinkId },
    Disk { server: usize, ticket: Ticket, reply: Result<DiskReply, DiskError> },
}

/// An ensemble (or a server alone) whose first server has the clients.
#[derive(Clone, Debug)]
pub struct Cluster {
    servers: Vec<Server>,
    now: Now,
    queue: VecDeque<Happening>,
    /// Both ends of the connections between servers.
    pipes: BTreeMap<(usize, LinkId), (usize, LinkId)>,
    /// What disks have done and what servers tell each other, while `hold` is set.
    held: VecDeque<Happening>,
    hold: bool,
    pub events: Vec<ClientEvent>,
    /// Sessions that a leader has declared expired.
    pub expired: BTreeSet<SessionId>,
    /// Bytes that were allocated by Peers.
    pub allocated: usize,
    /// Inputs that were handled.
    pub steps: usize,
}

/// Inputs after which rest is no longer believed in.
const STORM: usize = 200_000;

fn port_number(port: Port) -> u8 {
    match port {
        Port::Client => 0,
        Port::Election => 1,
        Port::Quorum => 2,
    }
}

impl Cluster {
    /// One server, or three of which the first is a follower; started, serving.
    pub fn start(cfg: &PeerConfig, ensemble: bool) -> Self {
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 };
        let sids = if ensemble { vec![1, 2, 3] } else { vec![1] };
        let members = sids.iter().map(|sid| Member {
            sid: Sid(*sid),
            quorum: format!("s{sid}:2888").into(),
            election: format!("s{sid}:3888").into(),
            client: None,
            kind: MemberKind::Participant,
            weight: 1,
            group: None,
        });
        let configuration = Configuration::new(Ensemble { members: members.collect(), version: 0 });
        let servers = sids.iter().map(|sid| {
            let ensemble = ensemble.then(|| configuration.clone());
            let cfg = PeerConfig { sid: Sid(*sid), ensemble, ..cfg.clone() };
            let peer = Peer::new(cfg, now);
            Server { peer, out: Outbox::new(), accepted: LinkId::ACCEPTED, listens: BTreeSet::new() }
        });
        let mut cluster = Self {
            servers: servers.collect(),
            now,
            queue: VecDeque::new(),
            pipes: BTreeMap::new(),
            held: VecDeque::new(),
            hold: false,
            events: Vec::new(),
            expired: BTreeSet::new(),
            allocated: 0,
            steps: 0,
        };
        for s in 0..cluster.servers.len() {
            let server = &mut cluster.servers[s];
            server.peer.start(now, &mut server.out);
            cluster.carry_out(s);
        }
        cluster.advance(5000);
        assert!(cluster.serves(), "{:?}", cluster.peer().view(cluster.now));
        cluster
    }

    /// The server that has the clients.
    pub fn peer(&self) -> &Peer {
        &self.servers[0].peer
    }
    /// The server whose word is a transaction's place: the leader, or the server alone.
    pub fn leader(&self) -> &Peer {
        &self.servers[self.servers.len() - 1].peer
    }
    /// Whether everybody is what they became at the start.
    pub fn serves(&self) -> bool {
        let last = self.servers.len() - 1;
        let role = |s: usize| match (last, s == last) {
            (0, _) => Role::Standalone,
            (_, true) => Role::Leading,
            (_, false) => Role::Following,
        };
        self.servers.iter().enumerate().all(|(s, server)| server.peer.serving() && server.peer.role() == role(s))
    }

    // ----- what clients do ---------------------------------------------------------------------------------------

    pub fn open(&mut self) -> LinkId {
        let link = self.accept(0);
        self.happens(Happening::Opened { server: 0, link, port: Port::Client });
        link
    }
    pub fn bytes(&mut self, link: LinkId, bytes: &[u8]) {
        self.happens(Happening::Bytes { server: 0, link, bytes: bytes.to_vec() });
    }
    pub fn drained(&mut self, link: LinkId, n: usize) {
        self.happens(Happening::Drained { server: 0, link, n });
    }
    pub fn hang_up(&mut self, link: LinkId) {
        self.happens(Happening::Closed { server: 0, link });
    }
    /// From now on what disks have done and what servers tell each other arrives when `hold` ends.
    pub fn hold(&mut self, hold: bool) {
        self.hold = hold;
        if !hold {
            self.queue.append(&mut self.held);
            self.run();
        }
    }

    /// Time passes, with everything that is due on the way.
    pub fn advance(&mut self, ms: Millis) {
        let target = self.now.mono_ms + ms;
        loop {
            self.run();
            let next = self.servers.iter().filter_map(|s| s.peer.next_deadline()).min();
            let at = next.unwrap_or(target).clamp(self.now.mono_ms, target);
            let due: Vec<usize> = (0..self.servers.len())
                .filter(|s| self.servers[*s].peer.next_deadline().is_some_and(|d| d <= at))
                .collect();
            self.now = Now { mono_ms: at, wall_ms: self.now.wall_ms + at - self.now.mono_ms };
            if due.is_empty() {
                break;
            }
            for s in due {
                self.step(s, Input::Tick);
            }
        }
        self.run();
    }

    // ----- what happens ------------------------------------------------------------------------------------------

    fn happens(&mut self, happening: Happening) {
        self.queue.push_back(happening);
        self.run();
    }

    fn later(&mut self, happening: Happening) {
        if self.hold { self.held.push_back(happening) } else { self.queue.push_back(happening) }
    }

    fn run(&mut self) {
        let last = self.steps + STORM;
        while let Some(happening) = self.queue.pop_front() {
            assert!(self.steps < last, "{STORM} inputs and no rest: {happening:?}");
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let remote: SocketAddr = "10.0.0.9:40000".parse().expect("an address");
        let (s, input) = match &happening {
            Happening::Opened { server, link, port } => {
                (*server, Input::Link { link: *link, event: LinkEvent::Opened { port: *port, remote } })
            }
            Happening::Bytes { server, link, bytes } => {
                (*server, Input::Link { link: *link, event: LinkEvent::Bytes(bytes) })
            }
            Happening::Drained { server, link, n } => {
                (*server, Input::Link { link: *link, event: LinkEvent::Drained(*n) })
            }
            Happening::Closed { server, link } => {
                self.pipes.remove(&(*server, *link));
                (*server, Input::Link { link: *link, event: LinkEvent::Closed })
            }
            Happening::Disk { server, ticket, reply } => {
                (*server, Input::Disk { ticket: *ticket, result: reply.clone() })
            }
        };
        self.step(s, input);
    }

    fn step(&mut self, s: usize, input: Input<'_>) {
        self.steps += 1;
        let now = self.now;
        let server = &mut self.servers[s];
        let ((), bytes) = allocated(|| server.peer.step(now, input, &mut server.out));
        self.allocated += bytes;
        self.carry_out(s);
    }

    fn carry_out(&mut self, s: usize) {
        let mut out = std::mem::take(&mut self.servers[s].out);
        for action in out.actions() {
            self.act(s, action, &out);
        }
        out.clear();
        self.servers[s].out = out;
    }

    fn accept(&mut self, s: usize) -> LinkId {
        self.servers[s].accepted += 1;
        LinkId(self.servers[s].accepted)
    }

    fn act(&mut self, s: usize, action: &Action, out: &Outbox) {
        match action {
            Action::Listen(port) => _ = self.servers[s].listens.insert(port_number(*port)),
            Action::Unlisten(port) => _ = self.servers[s].listens.remove(&port_number(*port)),
            Action::Connect { link, port, address } => self.connect(s, *link, *port, address),
            Action::Send { link, payload } => {
                let bytes = out.bytes_of(payload).to_vec();
                if let Some((server, far)) = self.pipes.get(&(s, *link)).copied() {
                    let n = bytes.len();
                    self.later(Happening::Bytes { server, link: far, bytes });
                    self.later(Happening::Drained { server: s, link: *link, n });
                } else {
                    self.client(s, ClientEvent::Sent(*link, bytes));
                }
            }
            Action::Close { link, why } => {
                if let Some((server, far)) = self.pipes.remove(&(s, *link)) {
                    self.queue.push_back(Happening::Closed { server, link: far });
                } else {
                    self.client(s, ClientEvent::Closed(*link, why.clone()));
                }
            }
            // Between servers nothing is ever slow here.
            Action::Pause(link) if !self.pipes.contains_key(&(s, *link)) => self.client(s, ClientEvent::Pause(*link)),
            Action::Resume(link) if !self.pipes.contains_key(&(s, *link)) => self.client(s, ClientEvent::Resume(*link)),
            Action::Pause(_) | Action::Resume(_) => {}
            Action::Disk { ticket, op, .. } => {
                self.later(Happening::Disk { server: s, ticket: *ticket, reply: answer(op) });
            }
            Action::FourLetter { link, .. } => self.client(s, ClientEvent::Word(*link)),
            Action::Event(Event::SessionExpired { session, .. }) => _ = self.expired.insert(*session),
            Action::Event(Event::DigestMismatch { .. }) => panic!("server {s}: {action:?}"),
            Action::Event(_) => {}
            Action::Halt(halt) => panic!("server {s} halts: {halt:?}"),
        }
    }

    fn client(&mut self, s: usize, event: ClientEvent) {
        if s == 0 {
            self.events.push(event);
        }
    }

    fn connect(&mut self, s: usize, link: LinkId, port: Port, address: &str) {
        let to: usize = address[1..address.find(':').expect("host:port")].parse().expect("a server's number");
        let to = to - 1;
        if self.servers[to].listens.contains(&port_number(port)) {
            let far = self.accept(to);
            self.pipes.insert((s, link), (to, far));
            self.pipes.insert((to, far), (s, link));
            self.queue.push_back(Happening::Opened { server: to, link: far, port });
            self.queue.push_back(Happening::Opened { server: s, link, port });
        } else {
            self.queue.push_back(Happening::Closed { server: s, link });
        }
    }
}

/// A disk without memory: only a server's first start needs no more.
fn answer(op: &DiskOp) -> Result<DiskReply, DiskError> {
    match op {
        DiskOp::List(_) => Ok(DiskReply::Files(Vec::new())),
        DiskOp::ReadRange(..) => Ok(DiskReply::Data(Bytes::new())),
        _ => Ok(DiskReply::Done),
    }
}
