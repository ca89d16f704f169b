//! A Peer as the source of the four-letter words.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use quorate_core::event::Role;
use quorate_core::front::{ConnectionView, Latency as CoreLatency};
use quorate_core::ids::{LinkId, Millis, Now, SessionId, Zxid};
use quorate_core::peer::{Peer, View};

use crate::config::ServerConfig;
use crate::data_dir::VERSION_DIR;
use crate::metrics::{Counter, Metrics};
use crate::views::{
    Connection, ConnectionSession, DirSizes, ExpiryBucket, Gauges, Latency, LeaderGauges, Overview, Sessions, Sizes,
    Source, WatchTotals,
};

/// What a word looks at.
pub struct PeerSource<'a> {
    /// The server.
    pub peer: &'a Peer,
    /// When.
    pub now: Now,
    /// Who asks: a connection as well, which the core has forgotten.
    pub asker: Option<SocketAddr>,
    /// Its directories.
    pub config: &'a ServerConfig,
    /// Counters.
    pub metrics: &'a Metrics,
    /// Since when this server leads, ms of the monotonic clock.
    pub leading_since: Millis,
}

impl PeerSource<'_> {
    fn view(&self) -> View {
        self.peer.view(self.now)
    }
    fn wall(&self, mono_ms: Millis) -> Millis {
        self.now.wall_ms - (self.now.mono_ms - mono_ms)
    }
    fn session_of(&self, link: LinkId) -> Option<SessionId> {
        self.peer.front().session_of(link)
    }
    fn connection(&self, c: &ConnectionView) -> Connection {
        Connection {
            remote: c.remote,
            reading: c.reading,
            queued: c.queued as u64,
            received: c.received,
            sent: c.sent,
            session: c.session.map(|id| ConnectionSession {
                id,
                last_op: c.last_op,
                established_ms: self.wall(c.established_mono_ms),
                timeout_ms: c.timeout_ms.into(),
                last_cxid: c.last_cxid,
                last_zxid: c.last_zxid,
                last_response_ms: c.last_response_mono_ms,
                last_latency: c.last_latency_ms,
                latency: latency(&c.latency),
            }),
        }
    }
    fn buckets(&self, buckets: Vec<(Millis, Vec<SessionId>)>) -> Vec<ExpiryBucket<SessionId>> {
        buckets.into_iter().map(|(at, entries)| ExpiryBucket { at_ms: self.wall(at), entries }).collect()
    }
    fn leader(&self, view: &View) -> Option<LeaderGauges> {
        let synced = |observer| view.learners.iter().filter(|l| l.synced && l.observer == observer).count() as u64;
        (view.role == Role::Leading).then(|| LeaderGauges {
            learners: view.learners.len() as u64,
            synced_followers: synced(false),
            synced_non_voting_followers: 0,
            synced_observers: synced(true),
            pending_syncs: view.pending_syncs as u64,
            uptime_ms: self.now.mono_ms - self.leading_since,
        })
    }
}

fn latency(l: &CoreLatency) -> Latency {
    Latency { min: l.min, max: l.max, total: l.total, count: i64::try_from(l.count).unwrap_or(i64::MAX) }
}

impl Source for PeerSource<'_> {
    fn overview(&self) -> Overview {
        let front = self.peer.front();
        let stats = front.stats();
        let role = self.peer.role();
        Overview {
            role,
            serving: self.peer.serving(),
            latency: latency(&stats.latency),
            received: stats.received,
            sent: stats.sent,
            connections: front.connection_count() + usize::from(self.asker.is_some()),
            outstanding: front.outstanding() as u64,
            zxid: self.peer.applied_zxid(),
            node_count: self.peer.tree().node_count() as u64 + 1,
            proposals: self.peer.proposal_sizes().map(|s| Sizes { last: s.last, min: s.min, max: s.max }),
        }
    }
    fn connections(&self) -> Vec<Connection> {
        let asker = self.asker.map(|remote| Connection {
            remote,
            reading: false,
            queued: 0,
            received: 1,
            sent: 0,
            session: None,
        });
        self.peer.front().connections().map(|c| self.connection(&c)).chain(asker).collect()
    }
    fn sessions(&self) -> Sessions {
        match self.peer.role() {
            Role::Leading | Role::Standalone => Sessions::Owned(self.buckets(self.view().expiry)),
            _ => Sessions::Known(self.peer.tree().sessions().iter().map(|(s, t)| (*s, Millis::from(*t))).collect()),
        }
    }
    fn local_sessions(&self) -> Option<Vec<ExpiryBucket<SessionId>>> {
        let may = self.peer.config().features.local_sessions || self.peer.role() == Role::ReadOnly;
        may.then(|| self.buckets(self.peer.front().local_sessions()))
    }
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let tree = self.peer.tree();
        tree.ephemeral_sessions().map(|s| (s, tree.ephemerals_of(s).collect())).collect()
    }
    fn connection_expiry(&self) -> Vec<ExpiryBucket<(SocketAddr, SessionId)>> {
        let mut all: Vec<_> = self.peer.front().connections().collect();
        all.sort_by_key(|c| (c.idle_at_mono_ms, c.link));
        let mut buckets: Vec<ExpiryBucket<_>> = Vec::new();
        for c in all {
            let (at_ms, entry) = (self.wall(c.idle_at_mono_ms), (c.remote, c.session.unwrap_or(SessionId::NONE)));
            match buckets.last_mut() {
                Some(last) if last.at_ms == at_ms => last.entries.push(entry),
                _ => buckets.push(ExpiryBucket { at_ms, entries: vec![entry] }),
            }
        }
        buckets
    }
    fn watch_totals(&self) -> WatchTotals {
        let t = self.peer.watches().totals();
        WatchTotals { connections: t.connections, paths: t.paths, watches: t.watches }
    }
    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)> {
        let lists = self.peer.watches().by_link().into_iter();
        lists.filter_map(|(link, paths)| Some((self.session_of(link)?, paths))).collect()
    }
    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)> {
        let lists = self.peer.watches().by_path().into_iter();
        lists.map(|(path, links)| (path, links.into_iter().filter_map(|l| self.session_of(l)).collect())).collect()
    }
    fn ensemble_text(&self) -> Option<String> {
        self.peer.config().ensemble.as_ref().map(|e| String::from_utf8_lossy(e.text()).into_owned())
    }
    fn dir_sizes(&self) -> DirSizes {
        DirSizes {
            data: size(&self.config.data_dir.join(VERSION_DIR)),
            log: size(&self.config.data_log_dir.join(VERSION_DIR)),
        }
    }
    fn trace_mask(&self) -> i64 {
        self.peer.front().trace_mask()
    }
    fn gauges(&self) -> Gauges {
        let (peer, view) = (self.peer, self.view());
        let stats = peer.front().stats();
        Gauges {
            ephemerals: peer.tree().ephemeral_count() as u64,
            global_sessions: view.global_sessions as u64,
            local_sessions: peer.front().local_session_count() as u64,
            watches: peer.watches().count() as u64,
            data_size: peer.tree().data_size() as u64,
            responses: Sizes { last: stats.response_last, min: stats.response_min, max: stats.response_max },
            auth_failed: stats.auth_failed,
            counters: vec![
                (Counter::ConnectionRejected, stats.rejected),
                (Counter::ConnectionRequestCount, stats.handshakes),
                (Counter::RequestThrottleWaitCount, stats.waited),
                (Counter::StaleRequestsDropped, stats.stale),
                (Counter::ThrottledOps, stats.throttled),
            ],
            drop_probability: f64::from(peer.front().drop_ppm()) / 1e6,
            uptime_ms: view.uptime_ms,
            quorum_size: (view.role != Role::Standalone).then_some(view.voters as u64),
            leader: self.leader(&view),
        }
    }
    fn metrics(&self) -> &Metrics {
        self.metrics
    }
    fn digests(&self) -> Vec<(Zxid, u64)> {
        vec![(self.peer.applied_zxid(), self.peer.tree().digest())]
    }
}

/// Bytes of the files in a directory.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries.flatten().filter_map(|e| e.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}
