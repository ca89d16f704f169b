//! Fast leader election (quorum-protocol section 2): connections in [`links`], votes in [`fle`]. Safety never depends on it.

pub mod fle;
pub mod links;

use alloc::vec::Vec;

use crate::config::PeerConfig;
use crate::event::{Action, Event, LinkEvent, Outbox, Port};
use crate::ids::{Epoch, LinkId, Millis, Now, Sid, Zxid};
use crate::quorum::Verifier;
use crate::wire::notification::{Notification, Vote, VoterState};
pub use fle::Decision;
use fle::{Fle, Reaction};
use links::{Arrival, Links};

/// What a server has to show in an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnHistory {
    /// Newest logged zxid; never taken from memory (ZOOKEEPER-2678).
    pub zxid: Zxid,
    /// Durable current epoch.
    pub epoch: Epoch,
    /// Something that was durable is gone: no vote, only joining an established leader.
    pub damaged: bool,
    /// No history at all: a vote only among servers that are as empty.
    pub empty: bool,
}

/// Elections of one server, for its whole life.
#[derive(Clone, Debug)]
pub struct Election {
    links: Links,
    fle: Fle,
    started: bool,
    looking_since: Millis,
}

impl Election {
    /// A server that has not looked for a leader yet.
    #[must_use]
    pub fn new(cfg: &PeerConfig, verifier: &Verifier) -> Self {
        let ensemble = cfg.ensemble.clone().unwrap_or_default();
        Self {
            links: Links::new(cfg, ensemble),
            fle: Fle::new(cfg.sid, verifier.clone(), &cfg.timing),
            started: false,
            looking_since: 0,
        }
    }

    /// Opens the election port.
    pub fn start(&mut self, out: &mut Outbox) {
        if !self.started {
            self.started = true;
            out.push(Action::Listen(Port::Election));
        }
    }

    /// Whether this link is an election connection.
    #[must_use]
    pub fn owns(&self, link: LinkId) -> bool {
        self.links.owns(link)
    }

    /// This server serves: memory that only elections need is given back.
    pub fn settled(&mut self) {
        self.links.forget_frame();
    }

    /// Begins a new round with this history.
    pub fn look(&mut self, now: Now, own: OwnHistory, out: &mut Outbox, decision: &mut Option<Decision>) {
        self.looking_since = now.mono_ms;
        self.links.forget_unreachable();
        let reaction = self.fle.look(now.mono_ms, own);
        let vote = self.fle.announcement().vote;
        out.event(Event::ElectionStarted { round: self.fle.round(), zxid: vote.zxid, epoch: vote.epoch });
        self.react(now, reaction, out, decision);
    }

    /// The role is known, or the epoch in force: this is what others hear from now on.
    pub fn settle(&mut self, state: VoterState, vote: Vote) {
        self.fle.settle(state, vote);
    }

    /// Whether too many voters have turned to another leader for this one to find a quorum.
    #[must_use]
    pub fn outvoted(&self) -> bool {
        self.fle.outvoted()
    }

    /// The vote that elected the present leader.
    #[must_use]
    pub fn current(&self) -> Vote {
        self.fle.announcement().vote
    }

    /// Milliseconds since the search for a leader began.
    #[must_use]
    pub fn looking_for(&self, now: Now) -> Millis {
        now.mono_ms - self.looking_since
    }

    /// Something happened on an election connection.
    pub fn on_link(
        &mut self,
        now: Now,
        link: LinkId,
        event: LinkEvent<'_>,
        out: &mut Outbox,
        decision: &mut Option<Decision>,
    ) {
        let mut arrivals: Vec<Arrival> = Vec::new();
        let announcement = self.fle.announcement();
        self.links.on_link(now, link, event, announcement, out, &mut |sid, n: &Notification<'_>| {
            arrivals.push(Arrival { sid, state: n.state, vote: n.vote, round: n.round, version: n.version });
        });
        for arrival in arrivals {
            let reaction = self.fle.on_notification(now.mono_ms, &arrival);
            self.react(now, reaction, out, decision);
        }
        if decision.is_none() && self.fle.looking() {
            self.conclude(now, decision);
        }
    }

    fn react(&mut self, now: Now, reaction: Reaction, out: &mut Outbox, decision: &mut Option<Decision>) {
        let announcement = self.fle.announcement();
        match reaction {
            Reaction::Nothing => {}
            Reaction::Broadcast => self.links.broadcast(now, &announcement, out),
            Reaction::Answer(sid) => self.links.send(now, sid, &announcement, out),
            Reaction::Join(d) => *decision = Some(d),
        }
        if decision.is_none() && self.fle.looking() {
            self.conclude(now, decision);
        }
    }

    /// Ends the election when its proposal has a quorum and nobody who could object is left, or after the quiet time.
    fn conclude(&mut self, now: Now, decision: &mut Option<Decision>) {
        let links = &self.links;
        if let Some(d) = self.fle.conclude(now.mono_ms, |sid| links.unreachable(sid)) {
            *decision = Some(d);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now, out: &mut Outbox, decision: &mut Option<Decision>) {
        self.links.tick(now, &self.fle.announcement(), out);
        if !self.fle.looking() {
            return;
        }
        self.conclude(now, decision);
        if decision.is_none() && self.fle.resend_due(now.mono_ms) {
            let announcement = self.fle.announcement();
            let quiet_since = now.mono_ms - 2 * self.fle.interval();
            self.links.refresh(now, quiet_since, &announcement, out);
        }
    }

    /// When [`Election::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        match (self.fle.next_deadline(), self.links.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether this server is LOOKING as far as the election knows.
    #[must_use]
    pub fn looking(&self) -> bool {
        self.fle.looking()
    }

    /// Sid of every member with a live election connection, ascending.
    pub fn connected(&self) -> impl Iterator<Item = Sid> {
        self.links.connected()
    }

    /// The state that notifications carry.
    #[must_use]
    pub fn state(&self) -> VoterState {
        self.fle.announcement().state
    }
}
