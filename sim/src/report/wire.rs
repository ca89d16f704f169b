//! Bytes on connections as named messages: who sent what to whom, and whether and when it arrived.
//!
//! Labels are read from the bytes as their sender made them. What becomes of them is counted in bytes: a piece of a connection is
//! queued, delivered, cut or cleared, and the messages in it with it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use quorate_core::event::Port;
use quorate_core::jute::Reader;
use quorate_core::wire::client::{
    ConnectRequest, ConnectResponse, ReplyHeader, Request, RequestHeader, WatcherEvent, xid,
};
use quorate_core::wire::notification::{Hello, Notification, VoterState};
use quorate_core::wire::packet::{ForwardedRequest, Packet, kind, kind_name};
use quorate_core::wire::records::op;

use super::fact::{Class, Fact, Kind, Who, zxid_text};
use super::words::request_words;
use crate::queue::Micros;

/// Longer data is no frame of ours.
const FRAME_MAX: usize = 4 << 20;
/// Packets of one message that are named.
const NAMED: usize = 3;
/// Behind the bytes of a snapshot that goes to a learner.
const SNAPSHOT_END: &[u8] = b"\0\0\0\x0aBenWasHere";

/// What becomes of bytes as they are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// So many bytes are under way.
    Queued {
        /// On the wire.
        bytes: usize,
        /// They are there twice.
        repeated: bool,
        /// They are not as they were sent.
        damaged: bool,
    },
    /// They never arrive.
    Lost,
}

impl Fate {
    /// They are under way as they were sent.
    #[must_use]
    pub const fn whole(bytes: &[u8]) -> Self {
        Self::Queued { bytes: bytes.len(), repeated: false, damaged: false }
    }
    /// What was sent, and what of it is under way.
    pub(crate) fn of(sent: &[u8], queued: &[u8]) -> Self {
        let repeated = queued.len() == 2 * sent.len() && queued.starts_with(sent);
        Self::Queued { bytes: queued.len(), repeated, damaged: !repeated && queued != sent }
    }
}

/// How the bytes of a direction are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    /// The first message of a connection.
    First,
    /// One message after the other.
    Messages,
    /// The bytes of a snapshot.
    Snapshot,
    /// Nothing that we know.
    Unknown,
}

#[derive(Debug)]
struct Direction {
    reading: Reading,
    buffer: Vec<u8>,
    /// Messages under way and their bytes that have not arrived.
    pending: VecDeque<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    message: u64,
    bytes: usize,
    sent_at: Micros,
    committed: i64,
    label: Rc<str>,
}

#[derive(Debug)]
struct Conn {
    port: Port,
    hosts: [u32; 2],
    /// UPTODATE was sent.
    up: bool,
    directions: [Direction; 2],
}

/// What a piece says.
#[derive(Debug, Default)]
struct Said {
    class: Option<Class>,
    names: Vec<String>,
    more: usize,
    committed: i64,
}

impl Said {
    fn say(&mut self, class: Class, name: impl FnOnce() -> String) {
        self.class = Some(self.class.map_or(class, |c| c.min(class)));
        if self.names.len() < NAMED {
            self.names.push(name());
        } else {
            self.more += 1;
        }
    }
    fn label(&self) -> String {
        let mut text = self.names.join(" · ");
        if self.more > 0 {
            text += &format!(" +{}", self.more);
        }
        text
    }
}

/// See the module. Hosts are lanes: servers from 0, clients behind them.
#[derive(Debug, Default)]
pub struct Wire {
    /// The time of what comes next.
    pub now: Micros,
    servers: u32,
    conns: BTreeMap<u64, Conn>,
    messages: u64,
    facts: Vec<Fact>,
}

impl Wire {
    /// Of an ensemble of so many servers.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        Self { servers: servers as u32, ..Self::default() }
    }

    /// A connection is asked for. Direction 0 is that of the one who asks.
    pub fn opened(&mut self, conn: u64, port: Port, from: u32, to: u32) {
        let direction = || Direction { reading: Reading::First, buffer: Vec::new(), pending: VecDeque::new() };
        let conn_now = Conn { port, hosts: [from, to], up: false, directions: [direction(), direction()] };
        self.conns.insert(conn, conn_now);
    }

    /// Bytes are sent.
    pub fn sent(&mut self, conn: u64, dir: usize, bytes: &[u8], fate: Fate) {
        let (servers, at) = (self.servers, self.now);
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let said = c.read(dir, bytes);
        let message = self.messages;
        self.messages += 1;
        let (from, to) = (c.hosts[dir], c.hosts[1 - dir]);
        let default = match c.port {
            Port::Election => Class::Election,
            Port::Client => Class::Client,
            Port::Quorum if c.up => Class::Broadcast,
            Port::Quorum => Class::Sync,
        };
        let class = said.class.unwrap_or(default);
        let (repeated, damaged) = match fate {
            Fate::Queued { repeated, damaged, .. } => (repeated, damaged),
            Fate::Lost => (false, false),
        };
        let flags = i64::from(repeated) | i64::from(damaged) << 1;
        let text = match said.label() {
            label if label.is_empty() => format!("{} bytes", bytes.len()),
            label => label,
        };
        let who = host(servers, from);
        let numbers = [message as i64, i64::from(to), class as i64, flags];
        let label = Rc::from(text.as_str());
        self.facts.push(Fact { at, who, kind: Kind::Sent, numbers, text });
        match fate {
            Fate::Queued { bytes, .. } if bytes > 0 => {
                let pending = Pending { message, bytes, sent_at: at, committed: said.committed, label };
                c.directions[dir].pending.push_back(pending);
            }
            _ => self.facts.push(lost(servers, at, [from, to], message, &label)),
        }
    }

    /// So many bytes have arrived.
    pub fn delivered(&mut self, conn: u64, dir: usize, bytes: usize) {
        let (servers, at) = (self.servers, self.now);
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let [from, to] = [c.hosts[dir], c.hosts[1 - dir]];
        let mut left = bytes;
        let pending = &mut c.directions[dir].pending;
        while let Some(first) = pending.front_mut() {
            let taken = left.min(first.bytes);
            first.bytes -= taken;
            left -= taken;
            if first.bytes > 0 {
                break;
            }
            let numbers = [first.message as i64, (at - first.sent_at) as i64, first.committed, i64::from(from)];
            let text = first.label.to_string();
            let fact = Fact { at, who: host(servers, to), kind: Kind::Received, numbers, text };
            self.facts.push(fact);
            pending.pop_front();
        }
    }

    /// Of what is under way in one direction only so many bytes will arrive.
    pub fn cut(&mut self, conn: u64, dir: usize, keep: usize) {
        let (servers, at) = (self.servers, self.now);
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let hosts = [c.hosts[dir], c.hosts[1 - dir]];
        let mut left = keep;
        let facts = &mut self.facts;
        c.directions[dir].pending.retain_mut(|p| {
            p.bytes = p.bytes.min(left);
            left -= p.bytes;
            if p.bytes == 0 {
                facts.push(lost(servers, at, hosts, p.message, &p.label));
            }
            p.bytes > 0
        });
    }

    /// Nobody holds this connection any more.
    pub fn released(&mut self, conn: u64) {
        for dir in 0..2 {
            self.cut(conn, dir, 0);
        }
        self.conns.remove(&conn);
    }

    /// What has happened since the last call.
    pub fn take(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Whether there is something to take.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        !self.facts.is_empty()
    }
}

const fn host(servers: u32, host: u32) -> Who {
    if host < servers { Who::Server(host) } else { Who::Client(host - servers) }
}

fn lost(servers: u32, at: Micros, [from, to]: [u32; 2], message: u64, label: &str) -> Fact {
    let numbers = [message as i64, i64::from(to), 0, 0];
    Fact { at, who: host(servers, from), kind: Kind::Lost, numbers, text: label.into() }
}

impl Conn {
    /// Reads what one side says.
    fn read(&mut self, dir: usize, bytes: &[u8]) -> Said {
        let mut said = Said::default();
        let direction = &mut self.directions[dir];
        let mut buffer = std::mem::take(&mut direction.buffer);
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let rest = &buffer[used..];
            if rest.is_empty() {
                break;
            }
            let read = match (self.port, direction.reading) {
                (_, Reading::Unknown) => Some(rest.len()),
                (Port::Election, _) => election(rest, dir, &mut direction.reading, &mut said),
                (Port::Quorum, Reading::Snapshot) => snapshot(rest, &mut direction.reading, &mut said),
                (Port::Quorum, _) => quorum(rest, &mut self.up, &mut direction.reading, &mut said),
                (Port::Client, _) => client(rest, dir, &mut direction.reading, &mut said),
            };
            let Some(read) = read else { break };
            used += read;
        }
        buffer.drain(..used);
        direction.buffer = buffer;
        said
    }
}

/// The frame that these bytes begin with; `None`: not all of it is there. `Err`: no frame.
fn frame(bytes: &[u8]) -> Result<Option<&[u8]>, ()> {
    let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > FRAME_MAX { Err(()) } else { Ok(bytes.get(4..4 + length)) }
}

fn election(bytes: &[u8], dir: usize, reading: &mut Reading, said: &mut Said) -> Option<usize> {
    if *reading == Reading::First && dir == 0 {
        return match Hello::decode(bytes) {
            Ok(Some((hello, length))) => {
                *reading = Reading::Messages;
                said.say(Class::Election, || format!("HELLO s{}", hello.sid));
                Some(length)
            }
            Ok(None) => None,
            Err(_) => unknown(reading, bytes),
        };
    }
    let body = match frame(bytes) {
        Ok(body) => body?,
        Err(()) => return unknown(reading, bytes),
    };
    said.say(Class::Election, || match Notification::decode(body) {
        Ok(Some(n)) => {
            let state = match n.state {
                VoterState::Looking => "",
                VoterState::Following => " (following)",
                VoterState::Leading => " (leading)",
                VoterState::Observing => " (observing)",
            };
            let vote = &n.vote;
            format!("VOTE s{} {} e{} round {}{state}", vote.leader, zxid_text(vote.zxid), vote.epoch, n.round)
        }
        _ => "?".into(),
    });
    Some(4 + body.len())
}

fn unknown(reading: &mut Reading, bytes: &[u8]) -> Option<usize> {
    *reading = Reading::Unknown;
    Some(bytes.len())
}

fn snapshot(bytes: &[u8], reading: &mut Reading, said: &mut Said) -> Option<usize> {
    let end = bytes.windows(SNAPSHOT_END.len()).position(|w| w == SNAPSHOT_END).map(|at| at + SNAPSHOT_END.len());
    if let Some(end) = end {
        *reading = Reading::Messages;
        said.say(Class::Sync, || format!("end of snapshot, {end} bytes"));
        return Some(end);
    }
    // The mark may be cut in two.
    let read = bytes.len().saturating_sub(SNAPSHOT_END.len());
    if read == 0 {
        return None;
    }
    said.say(Class::Sync, || format!("snapshot, {read} bytes"));
    Some(read)
}

fn quorum(bytes: &[u8], up: &mut bool, reading: &mut Reading, said: &mut Said) -> Option<usize> {
    let (packet, length) = match Packet::decode(bytes, FRAME_MAX) {
        Ok(Some(found)) => found,
        Ok(None) => return None,
        Err(_) => return unknown(reading, bytes),
    };
    if !(kind::REQUEST..=kind::INFORM_AND_ACTIVATE).contains(&packet.kind) {
        return unknown(reading, bytes);
    }
    *reading = Reading::Messages;
    let class = match packet.kind {
        kind::PING => Class::Ping,
        kind::REQUEST | kind::SYNC | kind::REVALIDATE => Class::Broadcast,
        kind::PROPOSAL | kind::ACK | kind::COMMIT | kind::INFORM if *up => Class::Broadcast,
        _ => Class::Sync,
    };
    if matches!(packet.kind, kind::COMMIT | kind::INFORM) {
        said.committed = said.committed.max(packet.zxid.0);
    }
    *up |= packet.kind == kind::UPTODATE;
    if packet.kind == kind::SNAP {
        *reading = Reading::Snapshot;
    }
    said.say(class, || packet_words(&packet));
    Some(length)
}

fn packet_words(packet: &Packet<'_>) -> String {
    let name = kind_name(packet.kind);
    let request = packet.data.and_then(|data| ForwardedRequest::decode(data).ok());
    match (packet.kind, request) {
        (kind::REQUEST, Some(forwarded)) => match Request::decode(forwarded.op, forwarded.body) {
            Ok(request) => format!("{name} {}", request_words(&request)),
            Err(_) => name.to_owned(),
        },
        (kind::PING | kind::SYNC | kind::REVALIDATE | kind::UPTODATE, _) => name.to_owned(),
        (kind::NEWLEADER | kind::LEADERINFO | kind::FOLLOWERINFO | kind::OBSERVERINFO, _) => {
            format!("{name} epoch {}", packet.zxid.epoch())
        }
        _ => format!("{name} {}", zxid_text(packet.zxid)),
    }
}

fn client(bytes: &[u8], dir: usize, reading: &mut Reading, said: &mut Said) -> Option<usize> {
    let body = match frame(bytes) {
        Ok(body) => body?,
        Err(()) => return unknown(reading, bytes),
    };
    let length = 4 + body.len();
    if *reading == Reading::First {
        *reading = Reading::Messages;
        said.say(Class::Client, || greeting(body, dir));
        return Some(length);
    }
    let mut r = Reader::new(body);
    if dir == 0 {
        let Ok(head) = RequestHeader::decode(&mut r) else { return unknown(reading, bytes) };
        if head.op == op::PING {
            said.say(Class::Ping, || "ping".into());
        } else {
            said.say(Class::Client, || match Request::decode(head.op, &body[RequestHeader::LEN..]) {
                Ok(request) => format!("#{} {}", head.xid, request_words(&request)),
                Err(_) => format!("#{} op {}", head.xid, head.op),
            });
        }
        return Some(length);
    }
    let Ok(head) = ReplyHeader::decode(&mut r) else { return unknown(reading, bytes) };
    let zxid = zxid_text(head.zxid);
    match head.xid {
        xid::PING => said.say(Class::Ping, || format!("pong {zxid}")),
        xid::EVENT => said.say(Class::Client, || match WatcherEvent::decode(&mut r) {
            Ok(event) => format!("WATCH {:?} {} {zxid}", event.kind, event.path),
            Err(_) => format!("WATCH {zxid}"),
        }),
        xid => said.say(Class::Client, || format!("reply #{xid} {zxid} {:?}", head.err)),
    }
    Some(length)
}

fn greeting(body: &[u8], dir: usize) -> String {
    if dir == 0 {
        return match ConnectRequest::decode(body) {
            Ok(c) if c.session.0 != 0 => format!("CONNECT {} seen {}", c.session, zxid_text(c.last_zxid_seen)),
            _ => "CONNECT".into(),
        };
    }
    match ConnectResponse::decode(body) {
        Ok(c) if c.session.0 != 0 => format!("SESSION {}", c.session),
        _ => "EXPIRED".into(),
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::ids::Zxid;

    use super::*;

    fn packet(kind: i32, zxid: Zxid) -> Vec<u8> {
        let mut out = Vec::new();
        Packet::new(kind, zxid, None).encode(&mut out);
        out
    }
    const fn queued(bytes: usize) -> Fate {
        Fate::Queued { bytes, repeated: false, damaged: false }
    }
    fn told(wire: &mut Wire) -> Vec<(Kind, i64, String)> {
        wire.take().into_iter().map(|f| (f.kind, f.numbers[0], f.text)).collect()
    }

    #[test]
    fn a_message_is_what_was_sent_at_once_and_arrives_with_its_last_byte() {
        let mut wire = Wire::new(2);
        wire.opened(7, Port::Quorum, 1, 0);
        let bytes = [packet(kind::UPTODATE, Zxid::NONE), packet(kind::COMMIT, Zxid::new(1, 5))].concat();
        wire.sent(7, 1, &bytes, queued(bytes.len()));
        assert_eq!(told(&mut wire), [(Kind::Sent, 0, "UPTODATE · COMMIT 1.5".into())]);
        wire.delivered(7, 1, bytes.len() - 1);
        assert!(!wire.has_news());
        wire.now = 20;
        wire.delivered(7, 1, 1);
        let facts = wire.take();
        assert_eq!((facts[0].kind, facts[0].who, facts[0].numbers[1]), (Kind::Received, Who::Server(1), 20));
        assert_eq!(facts[0].numbers[2], Zxid::new(1, 5).0);
    }

    #[test]
    fn what_is_cut_or_never_queued_is_lost() {
        let mut wire = Wire::new(3);
        wire.opened(1, Port::Quorum, 0, 2);
        let ack = packet(kind::ACK, Zxid::new(2, 1));
        wire.sent(1, 0, &ack, queued(ack.len()));
        wire.sent(1, 0, &ack, queued(ack.len()));
        wire.sent(1, 0, &ack, Fate::Lost);
        wire.cut(1, 0, ack.len());
        wire.delivered(1, 0, ack.len());
        wire.released(1);
        let kinds: Vec<(Kind, i64)> = told(&mut wire).into_iter().map(|(k, n, _)| (k, n)).collect();
        let sent = [(Kind::Sent, 0), (Kind::Sent, 1), (Kind::Sent, 2)];
        assert_eq!(kinds, [&sent[..], &[(Kind::Lost, 2), (Kind::Lost, 1), (Kind::Received, 0)]].concat());
    }

    #[test]
    fn what_nobody_knows_is_counted_in_bytes() {
        let mut wire = Wire::new(1);
        for (port, dir) in [(Port::Election, 0), (Port::Quorum, 0), (Port::Client, 1)] {
            wire.opened(9, port, 0, 0);
            wire.sent(9, dir, &[0xff; 40], queued(40));
            wire.sent(9, dir, &[7; 3], queued(3));
            let texts: Vec<String> = told(&mut wire).into_iter().map(|t| t.2).collect();
            assert_eq!(texts, ["40 bytes", "3 bytes"], "{port:?}");
        }
    }
}
