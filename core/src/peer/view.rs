//! What an operator may see of a server: plain numbers for four-letter words, metrics and the console.

use alloc::vec::Vec;

use crate::event::{Health, Role};
use crate::front::Front;
use crate::ids::{Epoch, Millis, Now, SessionId, Sid, Zxid};
use crate::peer::{Peer, State};
use crate::tree::DataTree;
use crate::watch::WatchManager;
use crate::zab::leader::ProposalSizes;

/// One learner, as its leader sees it.
#[derive(Clone, Debug)]
pub struct LearnerView {
    /// Who, once it said so.
    pub sid: Option<Sid>,
    /// It does not vote.
    pub observer: bool,
    /// It has caught up.
    pub synced: bool,
    /// Bytes on their way to it.
    pub queued_bytes: usize,
}

/// A server at one instant.
#[derive(Clone, Debug)]
pub struct View {
    /// Role.
    pub role: Role,
    /// Epoch in force, 0 while looking.
    pub epoch: Epoch,
    /// The leader, where there is one.
    pub leader: Option<Sid>,
    /// Zxid at which the tree stands.
    pub applied: Zxid,
    /// Newest logged zxid.
    pub logged: Zxid,
    /// Whether clients are served.
    pub serving: bool,
    /// Trust in the disk.
    pub health: Health,
    /// Sessions known to the ensemble.
    pub global_sessions: usize,
    /// Proposals not decided yet (leader).
    pub outstanding_proposals: usize,
    /// Syncs that are not confirmed yet (leader).
    pub pending_syncs: usize,
    /// Learners (leader).
    pub learners: Vec<LearnerView>,
    /// Voters of the configuration.
    pub voters: usize,
    /// Elections begun.
    pub elections: u64,
    /// How long the last one took.
    pub last_election_ms: Millis,
    /// Since the Peer was made.
    pub uptime_ms: Millis,
    /// Transactions whose digest did not match the tree.
    pub digest_mismatches: u64,
    /// Sessions by the instant at which they expire (leader).
    pub expiry: Vec<(Millis, Vec<SessionId>)>,
}

impl Peer {
    /// The present role.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.state {
            State::Recovering | State::Stopped => Role::Recovering,
            State::Looking { read_only: true, .. } => Role::ReadOnly,
            State::Settling | State::Looking { .. } => Role::Looking,
            State::Leading(_) => Role::Leading,
            State::Following(l) if l.kind() == crate::config::MemberKind::Observer => Role::Observing,
            State::Following(_) => Role::Following,
            State::Standalone(_) => Role::Standalone,
        }
    }

    /// The epoch in force; 0 while there is none.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match &self.state {
            State::Leading(p) | State::Standalone(p) => p.zab.epoch,
            State::Following(l) => l.epoch,
            _ => 0,
        }
    }

    /// Whether clients can be served with writes: established, or up to date with a leader.
    #[must_use]
    pub fn serving(&self) -> bool {
        match &self.state {
            State::Leading(p) | State::Standalone(p) => p.zab.established(),
            State::Following(l) => l.is_up(),
            State::Looking { read_only, .. } => *read_only,
            _ => false,
        }
    }

    /// Sizes of the proposals of this term (leader).
    #[must_use]
    pub fn proposal_sizes(&self) -> Option<ProposalSizes> {
        if let State::Leading(p) = &self.state { Some(p.zab.sizes) } else { None }
    }
    /// The tree, for reading.
    #[must_use]
    pub fn tree(&self) -> &DataTree {
        &self.tree
    }
    /// The watches, for counting.
    #[must_use]
    pub fn watches(&self) -> &WatchManager {
        &self.watches
    }
    /// The client connections, for `cons` and statistics.
    #[must_use]
    pub fn front(&self) -> &Front {
        &self.front
    }
    /// What this server was told before it started.
    #[must_use]
    pub fn config(&self) -> &crate::config::PeerConfig {
        &self.cfg
    }
    /// Newest logged zxid, durable or not.
    #[must_use]
    pub fn logged_zxid(&self) -> Zxid {
        self.history.last()
    }

    /// Quorum packets (PROPOSAL, ACK, COMMIT, PING, …) read since this Peer was made; the bytes of a snapshot are none.
    #[must_use]
    pub fn quorum_packets(&self) -> u64 {
        self.effects.packets
    }

    /// Sets the counters of packets and latencies to nothing, for whoever compares Peers: nothing that a Peer does depends on one.
    pub fn reset_counters(&mut self) {
        self.front.reset_stats();
        self.effects.packets = 0;
    }

    /// Everything that the reports show.
    #[must_use]
    pub fn view(&self, now: Now) -> View {
        let (outstanding_proposals, pending_syncs, learners, expiry) = match &self.state {
            State::Leading(p) | State::Standalone(p) => {
                let learners = p.zab.handlers.values().map(|h| LearnerView {
                    sid: h.sid,
                    observer: h.observer,
                    synced: h.synced(),
                    queued_bytes: h.undrained,
                });
                (p.zab.outstanding(), p.zab.pending_syncs(), learners.collect(), p.tracker.buckets())
            }
            _ => (0, 0, Vec::new(), Vec::new()),
        };
        View {
            role: self.role(),
            epoch: self.epoch(),
            leader: match &self.state {
                State::Leading(_) => Some(self.cfg.sid),
                State::Following(l) => Some(l.leader),
                _ => None,
            },
            applied: self.history.applied(),
            logged: self.history.last(),
            serving: self.serving(),
            health: self.disk.health(),
            global_sessions: self.tree.sessions().len(),
            outstanding_proposals,
            pending_syncs,
            learners,
            voters: self.verifier.voters().len(),
            elections: self.elections,
            last_election_ms: self.looking_for,
            uptime_ms: now.mono_ms - self.started_ms,
            digest_mismatches: self.digest_mismatches,
            expiry,
        }
    }
}
