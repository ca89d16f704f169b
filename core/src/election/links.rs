//! Election connections: one per pair of servers, the one that the larger id opened; one pending notification per peer
//! (quorum-protocol 2.1, 2.2). What is sent is always the present state, never a stored message.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::{Configuration, PeerConfig};
use crate::error::CloseReason;
use crate::event::{Event, LinkEvent, Outbox, Port};
use crate::hash::IdMap;
use crate::ids::{LinkId, Millis, Now, Sid};
use crate::jute::Reader;
use crate::message::{Known, Message};
use crate::wire::inbuf::InBuf;
use crate::wire::notification::{FRAME_MAX, Hello, Notification, Vote, VoterState};

/// What this server says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// Its role.
    pub state: VoterState,
    /// Its vote.
    pub vote: Vote,
    /// Its logical clock.
    pub round: i64,
}

/// A notification of another server, without its configuration text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Arrival {
    pub sid: Sid,
    pub state: VoterState,
    pub vote: Vote,
    pub round: i64,
    pub version: i32,
}

/// Strangers that may wait for their hello at once.
const GREETING_MAX: usize = 256;
/// A server with a larger id calls back by itself when it drops a connection; only if it has not done so within this time (ms) is
/// it called. Calling at once would make it drop the connection that is just being made, without end.
const CALL_BACK_MS: Millis = 50;
/// Servers outside the configuration that may stay connected at once.
const UNKNOWN_MAX: usize = 16;

#[derive(Clone, Debug, Default)]
struct Remote {
    /// The connection in use.
    channel: Option<LinkId>,
    dialing: Option<LinkId>,
    /// Something to say is waiting for the channel.
    dirty: bool,
    undrained: usize,
    heard_ms: Millis,
    /// The connection was lost while LOOKING: call then, if there is none.
    redial_at: Option<Millis>,
    /// The last attempt failed and nothing was heard since.
    unreachable: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Accepted, no hello yet.
    Greeting,
    /// Opened by us, not connected yet.
    Dialing(Sid),
    /// In use.
    Channel(Sid),
}

#[derive(Clone, Debug)]
struct Link {
    kind: Kind,
    inbuf: InBuf,
}

/// The configuration's text, which every notification carries.
#[derive(Clone, Debug)]
struct Text {
    config: Bytes,
    /// There are so many voters that a whole notification is worth keeping.
    many: bool,
    /// The newest notification with a large text: what a thousand voters are told is made once.
    frame: Option<(Announcement, Bytes)>,
}

/// Larger texts are shared, not copied.
const COPY_MAX: usize = 1024;
/// To more voters than this a large notification is sent as one piece that all of them share.
const MANY: usize = 64;

impl Text {
    fn notification(&self, what: &Announcement) -> Notification<'_> {
        Notification { state: what.state, vote: what.vote, round: what.round, version: 2, config: Some(&self.config) }
    }

    fn encode(&self, what: &Announcement, buf: &mut Vec<u8>) {
        self.notification(what).encode(buf);
    }

    /// Sends the notification; returns its length.
    fn send(&mut self, link: LinkId, what: &Announcement, out: &mut Outbox) -> usize {
        if self.config.len() <= COPY_MAX {
            let Announcement { state, vote, round } = *what;
            let message = || Message::Notification { state, vote, round };
            return out.send_message(link, message, |buf| self.encode(what, buf));
        }
        if !self.many {
            let head = out.send_with(link, |buf| self.notification(what).encode_before_config(buf));
            out.send_shared(link, self.config.clone());
            return head + self.config.len();
        }
        let frame = match &self.frame {
            Some((same, frame)) if same == what => frame.clone(),
            _ => {
                let mut buf = Vec::with_capacity(self.config.len() + 48);
                self.encode(what, &mut buf);
                let frame = Bytes::from(buf);
                self.frame = Some((*what, frame.clone()));
                frame
            }
        };
        let sent = frame.len();
        out.send_shared(link, frame);
        sent
    }
}

/// The length of the notification at the start of `buf`, with the field that says it; `None` until all of it is there.
fn frame_len(buf: &[u8], known: Option<(&Message, usize)>) -> Result<Option<usize>, CloseReason> {
    if let Some((Message::Notification { .. }, len)) = known {
        return Ok(Some(len));
    }
    if buf.len() < 4 {
        return Ok(None);
    }
    let len = Reader::new(buf).i32().map_err(CloseReason::Undecodable)?;
    let Some(len) = usize::try_from(len).ok().filter(|n| (1..=FRAME_MAX).contains(n)) else {
        return Err(CloseReason::Misbehaved("notification frame of impossible length"));
    };
    Ok((buf.len() >= 4 + len).then_some(4 + len))
}

/// All election connections of a server.
#[derive(Clone, Debug)]
pub struct Links {
    me: Sid,
    own_address: Arc<str>,
    hello_ms: Millis,
    voters: Vec<Sid>,
    ensemble: Arc<Configuration>,
    /// Servers that something is known of: of thousands of members most never speak with each other.
    remotes: BTreeMap<Sid, Remote>,
    links: IdMap<LinkId, Link>,
    text: Text,
    /// Accepted connections without a hello, and when they are closed.
    greeting: BTreeMap<LinkId, Millis>,
    /// No deadline is before this: what is asked for after every step must not cost a walk over all members.
    next: Option<Millis>,
}

impl Links {
    /// No connection yet.
    #[must_use]
    pub fn new(cfg: &PeerConfig, ensemble: Arc<Configuration>) -> Self {
        Self {
            me: cfg.sid,
            own_address: ensemble.member(cfg.sid).map_or_else(|| "".into(), |m| m.election.clone()),
            hello_ms: cfg.timing.tick_ms * cfg.timing.sync_limit,
            voters: ensemble.voters().map(|m| m.sid).filter(|s| *s != cfg.sid).collect(),
            remotes: BTreeMap::new(),
            links: IdMap::default(),
            text: Text { config: ensemble.text().clone(), many: ensemble.voters().count() > MANY, frame: None },
            ensemble,
            greeting: BTreeMap::new(),
            next: None,
        }
    }

    /// Whether this link is one of ours.
    #[must_use]
    pub fn owns(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }
    /// Whether this server cannot be reached: its connection is gone and the last attempt to make one failed.
    #[must_use]
    pub fn unreachable(&self, sid: Sid) -> bool {
        self.remotes.get(&sid).is_some_and(|r| r.channel.is_none() && r.unreachable)
    }
    /// The election is over: little is said from now on.
    pub fn forget_frame(&mut self) {
        self.text.frame = None;
    }
    /// A new election finds out anew who can be reached.
    pub fn forget_unreachable(&mut self) {
        self.remotes.values_mut().for_each(|r| r.unreachable = false);
    }
    /// Members with a live connection, ascending.
    pub fn connected(&self) -> impl Iterator<Item = Sid> {
        self.remotes.iter().filter(|(_, r)| r.channel.is_some()).map(|(s, _)| *s)
    }

    /// Tells every voter.
    pub fn broadcast(&mut self, now: Now, what: &Announcement, out: &mut Outbox) {
        for i in 0..self.voters.len() {
            self.send(now, self.voters[i], what, out);
        }
    }

    /// Tells one server: now if its channel is free, otherwise as soon as it is.
    pub fn send(&mut self, now: Now, sid: Sid, what: &Announcement, out: &mut Outbox) {
        let remote = self.remotes.entry(sid).or_default();
        remote.dirty = true;
        match remote.channel {
            Some(link) if remote.undrained == 0 => Self::flush(remote, link, what, &mut self.text, out),
            Some(_) => {}
            None => self.dial(now, sid, out),
        }
    }

    fn flush(remote: &mut Remote, link: LinkId, what: &Announcement, text: &mut Text, out: &mut Outbox) {
        // Before the first election there is nothing to say (2.4: the database is loaded before voting).
        remote.dirty = what.round == 0;
        if !remote.dirty {
            remote.undrained += text.send(link, what, out);
        }
    }

    fn dial(&mut self, now: Now, sid: Sid, out: &mut Outbox) {
        let Some(member) = self.ensemble.member(sid) else { return };
        let remote = self.remotes.entry(sid).or_default();
        if remote.channel.is_none() && remote.dialing.is_none() {
            let link = out.connect(Port::Election, &member.election);
            remote.dialing = Some(link);
            remote.heard_ms = now.mono_ms;
            self.links.insert(link, Link { kind: Kind::Dialing(sid), inbuf: InBuf::default() });
        }
    }

    /// Connects again to whoever is not connected, drops channels on which nothing was heard since `quiet_since` (they may be
    /// half open), and repeats the announcement.
    pub fn refresh(&mut self, now: Now, quiet_since: Millis, what: &Announcement, out: &mut Outbox) {
        for i in 0..self.voters.len() {
            let sid = self.voters[i];
            if let Some(remote) = self.remotes.get(&sid)
                && let Some(link) = remote.channel
                && remote.heard_ms < quiet_since
            {
                self.drop_link(link, CloseReason::Timeout("nothing heard during an election"), out);
            }
            self.send(now, sid, what, out);
        }
    }

    fn drop_link(&mut self, link: LinkId, why: CloseReason, out: &mut Outbox) {
        self.forget(link);
        out.close(link, why);
    }

    /// Takes a link out of every table; returns whose it was.
    fn forget(&mut self, link: LinkId) -> Option<Sid> {
        let sid = match self.links.remove(&link)?.kind {
            Kind::Greeting => {
                self.greeting.remove(&link);
                return None;
            }
            Kind::Dialing(sid) | Kind::Channel(sid) => sid,
        };
        let remote = self.remotes.get_mut(&sid)?;
        if remote.dialing == Some(link) {
            remote.dialing = None;
        }
        if remote.channel == Some(link) {
            remote.channel = None;
            remote.undrained = 0;
            if self.ensemble.member(sid).is_none() {
                self.remotes.remove(&sid);
            }
        }
        Some(sid)
    }

    /// Something happened on an election connection; notifications go to `heard`.
    pub fn on_link(
        &mut self,
        now: Now,
        link: LinkId,
        event: LinkEvent<'_>,
        what: Announcement,
        out: &mut Outbox,
        heard: &mut dyn FnMut(Sid, &Notification<'_>),
    ) {
        match event {
            LinkEvent::Opened { .. } if link.is_accepted() => {
                if self.greeting.len() >= GREETING_MAX {
                    out.close(link, CloseReason::Refused("too many election connections without a hello"));
                    return;
                }
                let until = now.mono_ms + self.hello_ms;
                self.greeting.insert(link, until);
                self.links.insert(link, Link { kind: Kind::Greeting, inbuf: InBuf::default() });
                self.next = Some(self.next.map_or(until, |at| at.min(until)));
            }
            LinkEvent::Opened { .. } => self.dialed(now, link, &what, out),
            LinkEvent::Closed => {
                let failed = matches!(self.links.get(&link), Some(Link { kind: Kind::Dialing(_), .. }));
                if let Some(sid) = self.forget(link)
                    && let Some(remote) = self.remotes.get_mut(&sid)
                {
                    remote.unreachable = failed;
                    // A lost connection may mean a lost server: while LOOKING the difference matters.
                    if what.state == VoterState::Looking && !failed {
                        if sid > self.me {
                            let at = now.mono_ms + CALL_BACK_MS;
                            remote.redial_at = Some(at);
                            self.next = Some(self.next.map_or(at, |next| next.min(at)));
                        } else {
                            self.send(now, sid, &what, out);
                        }
                    }
                }
            }
            LinkEvent::Drained(n) => {
                if let Some(Link { kind: Kind::Channel(sid), .. }) = self.links.get(&link)
                    && let Some(remote) = self.remotes.get_mut(sid)
                {
                    remote.undrained = remote.undrained.saturating_sub(n);
                    if remote.undrained == 0 && remote.dirty {
                        Self::flush(remote, link, &what, &mut self.text, out);
                    }
                }
            }
            LinkEvent::Bytes(bytes) => self.on_bytes(now, link, (bytes, Known::default()), &what, out, heard),
            LinkEvent::Messages { bytes, messages } => {
                self.on_bytes(now, link, (bytes, Known::new(messages)), &what, out, heard);
            }
        }
    }

    /// A connection that we asked for was made: say hello; it stays only if we are the larger one.
    fn dialed(&mut self, now: Now, link: LinkId, what: &Announcement, out: &mut Outbox) {
        let Some(Link { kind: Kind::Dialing(sid), .. }) = self.links.get(&link) else { return };
        let sid = *sid;
        if self.remotes.get(&sid).is_some_and(|r| r.channel.is_some()) {
            // It has called meanwhile; every hello tears down what there is (2.1).
            self.drop_link(link, CloseReason::Done, out);
            return;
        }
        let hello = Hello { sid: self.me, addresses: alloc::vec![self.own_address.as_ref().into()] };
        let sent = out.send_with(link, |buf| hello.encode(buf));
        if sid > self.me {
            self.drop_link(link, CloseReason::Done, out);
            if let Some(remote) = self.remotes.get_mut(&sid) {
                remote.unreachable = false;
            }
            return;
        }
        self.adopt(now, sid, link, what, out);
        if let Some(remote) = self.remotes.get_mut(&sid) {
            remote.undrained += sent;
        }
    }

    /// This link is the channel to `sid` from now on.
    fn adopt(&mut self, now: Now, sid: Sid, link: LinkId, what: &Announcement, out: &mut Outbox) {
        if let Some(old) = self.remotes.get(&sid).and_then(|r| r.channel) {
            self.drop_link(old, CloseReason::Replaced, out);
        }
        let remote = self.remotes.entry(sid).or_default();
        remote.dialing = remote.dialing.filter(|d| *d != link);
        remote.channel = Some(link);
        remote.undrained = 0;
        remote.heard_ms = now.mono_ms;
        remote.redial_at = None;
        remote.unreachable = false;
        if let Some(l) = self.links.get_mut(&link) {
            l.kind = Kind::Channel(sid);
        }
        Self::flush(remote, link, what, &mut self.text, out);
    }

    fn on_bytes(
        &mut self,
        now: Now,
        link: LinkId,
        (bytes, known): (&[u8], Known<'_>),
        what: &Announcement,
        out: &mut Outbox,
        heard: &mut dyn FnMut(Sid, &Notification<'_>),
    ) {
        let Some(l) = self.links.get_mut(&link) else { return };
        let mut inbuf = core::mem::take(&mut l.inbuf);
        let mut known = inbuf.known_in(known);
        let result = inbuf.process(bytes, |slice| {
            let mut used = 0;
            loop {
                match self.on_frame(now, link, (&slice[used..], known.at(used)), what, out, heard) {
                    Ok(0) => return (used, Ok(())),
                    Ok(n) => used += n,
                    Err(why) => return (used, Err(why)),
                }
            }
        });
        if let Some(l) = self.links.get_mut(&link) {
            l.inbuf = inbuf;
        }
        if let Err(why) = result
            && self.links.contains_key(&link)
        {
            out.event(Event::LinkClosed { link, remote: None, sid: self.sid_of(link), why: why.clone() });
            self.drop_link(link, why, out);
        }
    }

    fn sid_of(&self, link: LinkId) -> Option<Sid> {
        match self.links.get(&link)?.kind {
            Kind::Greeting => None,
            Kind::Dialing(sid) | Kind::Channel(sid) => Some(sid),
        }
    }

    /// Reads one hello or notification; returns its length, 0 when it is not complete or the link is gone.
    fn on_frame(
        &mut self,
        now: Now,
        link: LinkId,
        (buf, known): (&[u8], Option<(&Message, usize)>),
        what: &Announcement,
        out: &mut Outbox,
        heard: &mut dyn FnMut(Sid, &Notification<'_>),
    ) -> Result<usize, CloseReason> {
        let Some(l) = self.links.get(&link) else { return Ok(0) };
        match l.kind {
            Kind::Dialing(_) => Err(CloseReason::Misbehaved("bytes before the connection was made")),
            Kind::Greeting => {
                let Some((hello, n)) = Hello::decode(buf).map_err(CloseReason::Undecodable)? else { return Ok(0) };
                self.greeted(now, link, &hello, what, out)?;
                Ok(n)
            }
            Kind::Channel(sid) => {
                let Some(len) = frame_len(buf, known)? else { return Ok(0) };
                if let Some(remote) = self.remotes.get_mut(&sid) {
                    remote.heard_ms = now.mono_ms;
                    remote.unreachable = false;
                }
                if let Some(n) = Notification::read(&buf[4..len], known).map_err(CloseReason::Undecodable)? {
                    heard(sid, &n);
                }
                Ok(len)
            }
        }
    }

    fn greeted(
        &mut self,
        now: Now,
        link: LinkId,
        hello: &Hello,
        what: &Announcement,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let sid = hello.sid;
        if sid == self.me {
            return Err(CloseReason::Misbehaved("another server uses the id of this one: check its myid"));
        }
        if self.ensemble.member(sid).is_none() && !self.remotes.contains_key(&sid) {
            let unknown = self.remotes.keys().filter(|s| self.ensemble.member(**s).is_none()).count();
            if unknown >= UNKNOWN_MAX || sid < self.me {
                return Err(CloseReason::Refused("a server outside the configuration"));
            }
        }
        if sid < self.me {
            // The larger id calls: drop what there is, and call back.
            if let Some(old) = self.remotes.get(&sid).and_then(|r| r.channel) {
                self.drop_link(old, CloseReason::Replaced, out);
            }
            self.drop_link(link, CloseReason::Done, out);
            self.remotes.entry(sid).or_default().dirty = true;
            self.dial(now, sid, out);
            return Ok(());
        }
        self.greeting.remove(&link);
        if let Some(l) = self.links.get_mut(&link) {
            l.kind = Kind::Channel(sid);
        }
        self.adopt(now, sid, link, what, out);
        Ok(())
    }

    /// Calls servers that have not called back, and closes connections that never said hello.
    pub fn tick(&mut self, now: Now, what: &Announcement, out: &mut Outbox) {
        if self.next.is_none_or(|at| at > now.mono_ms) {
            return;
        }
        let due = |r: &Remote| r.redial_at.is_some_and(|at| at <= now.mono_ms);
        let lost: Vec<Sid> = self.remotes.iter().filter(|(_, r)| due(r)).map(|(sid, _)| *sid).collect();
        for sid in lost {
            if let Some(remote) = self.remotes.get_mut(&sid) {
                remote.redial_at = None;
            }
            if what.state == VoterState::Looking {
                self.send(now, sid, what, out);
            }
        }
        let late: Vec<LinkId> =
            self.greeting.iter().filter(|(_, until)| **until <= now.mono_ms).map(|(id, _)| *id).collect();
        for link in late {
            self.drop_link(link, CloseReason::Timeout("no hello on an election connection"), out);
        }
        self.next = self.first_deadline();
    }

    /// When [`Links::tick`] has something to do; it may be earlier.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.next
    }

    fn first_deadline(&self) -> Option<Millis> {
        let redial = self.remotes.values().filter_map(|r| r.redial_at).min();
        self.greeting.values().copied().chain(redial).min()
    }
}
