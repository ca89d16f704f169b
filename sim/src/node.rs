//! One simulated machine and the process on it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::config::{
    Auth, Configuration, ConnectThrottle, Ensemble, Features, Limits, Member, MemberKind, PeerConfig, RequestThrottle,
    Storage, Timing,
};
use quorate_core::event::{DiskOp, Outbox, Port};
use quorate_core::ids::{LinkId, Sid, Ticket, Zxid};
use quorate_core::mutant::Mutants;
use quorate_core::peer::Peer;

use crate::clock::Clock;
use crate::disk::SimDisk;
use crate::effect::Effect;
use crate::fault::Doom;
use crate::machine::{Machine, Process};
use crate::model::{Rules, SUPER};
use crate::network::ConnId;
use crate::platter::Platter;
use crate::queue::Micros;
use crate::quorum::Quorum;
use crate::rng::{Purpose, Stream};
use crate::spec::RunSpec;
use crate::watcher::Digest;

/// Never.
pub(crate) const NEVER: Micros = Micros::MAX;

/// A queue of disk operations; one is under way.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) ops: VecDeque<(Ticket, DiskOp)>,
    /// When the first one ends; [`NEVER`] while the process stands still.
    pub(crate) due: Option<Micros>,
    /// When the first one began.
    pub(crate) began: Micros,
    /// It began while the disk was slow.
    pub(crate) slow: bool,
}

/// What operations on a disk fail with.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    /// These only; otherwise writes, fsyncs and what changes names.
    pub(crate) effect: Option<Effect>,
    /// So many.
    pub(crate) left: u32,
    /// Because of this fault.
    pub(crate) by: u32,
}

/// Something that a fault has set until it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// The fault.
    pub(crate) by: u32,
    pub(crate) value: u64,
}

/// See the module.
pub(crate) struct Node {
    pub(crate) process: Option<Process>,
    /// What starts here in place of a server.
    pub(crate) script: Option<Box<dyn Machine>>,
    pub(crate) out: Outbox,
    /// Number of the process on this machine.
    pub(crate) life: u32,
    pub(crate) disk: SimDisk,
    /// What its process has written and not vouched for.
    pub(crate) platter: Platter,
    pub(crate) clock: Clock,
    listening: [bool; 3],
    /// The machine answers on the network.
    pub(crate) power: bool,
    pub(crate) paused: bool,
    /// The planned tick.
    pub(crate) wake_at: Micros,
    pub(crate) lanes: [Lane; 2],
    mine: Vec<(ConnId, Port)>,
    accepted: Vec<(ConnId, Port)>,
    pub(crate) drains: Vec<(ConnId, u8)>,
    pub(crate) drain_planned: bool,
    /// A start is planned.
    pub(crate) booting: bool,
    /// Disk operations take so many times as long.
    pub(crate) slow_disk: Option<Hold>,
    pub(crate) failing: Option<Failing>,
    /// The tree has moved since the checks looked at it: to where, and whether it was replaced.
    pub(crate) moved: Option<(Zxid, bool)>,
    pub(crate) full_by: u32,
    pub(crate) lying_by: u32,
    /// It takes so many bytes a second from each connection.
    pub(crate) slow_receiver: Option<Hold>,
    /// An input takes it so many microseconds …
    pub(crate) slow: Option<Hold>,
    /// … and it is busy until then.
    pub(crate) busy_until: Micros,
    /// Its timers fire at multiples of so many microseconds only.
    pub(crate) late: Option<Hold>,
    /// The rate of its clock before the machine was suspended.
    pub(crate) rate_before: Option<u64>,
    /// A copy of the disk that was put aside.
    pub(crate) backup: Option<SimDisk>,
    /// Whose id its process has.
    pub(crate) identity: usize,
    /// Its own disk, while its process has the id of another one.
    pub(crate) own: Option<SimDisk>,
    /// So often it has got another address.
    pub(crate) moves: u8,
    /// So often it has got other switches.
    pub(crate) switches: u32,
    /// Everything up to here is durable, as it says.
    pub(crate) durable: Zxid,
    /// Durable bytes were spoiled.
    pub(crate) rotten: bool,
    /// What was spoiled is everything: it starts as an empty server.
    pub(crate) wiped: bool,
    /// Which of the two epoch files was spoiled first.
    pub(crate) rotten_epoch: Option<usize>,
    /// Files that this life was not able to remove: the next one tries again.
    pub(crate) unremoved: usize,
    pub(crate) effects: [u64; Effect::COUNT],
    /// Large bytes that were sent last, and their digest.
    large: (Bytes, u64),
    /// Quorum packets that earlier processes have read.
    packets: u64,
    /// It is to end at an effect that is still to come.
    pub(crate) doomed: Option<Doom>,
    pub(crate) disk_stream: Stream,
    pub(crate) crash_stream: Stream,
}

const fn number(port: Port) -> usize {
    match port {
        Port::Client => 0,
        Port::Election => 1,
        Port::Quorum => 2,
    }
}

impl Node {
    pub(crate) fn new(spec: &RunSpec, node: usize) -> Self {
        let mut peer_stream = Stream::new(spec.seed, Purpose::Peer, node as u64);
        Self {
            process: None,
            script: None,
            out: Outbox::new(),
            life: 0,
            disk: SimDisk::new(spec.disk.sector as usize),
            platter: Platter::default(),
            clock: Clock::new(0, peer_stream.below(1 << 40)),
            listening: [false; 3],
            power: true,
            paused: false,
            wake_at: NEVER,
            lanes: Default::default(),
            mine: Vec::new(),
            accepted: Vec::new(),
            drains: Vec::new(),
            drain_planned: false,
            booting: false,
            slow_disk: None,
            failing: None,
            moved: None,
            full_by: 0,
            lying_by: 0,
            slow_receiver: None,
            slow: None,
            busy_until: 0,
            late: None,
            rate_before: None,
            backup: None,
            identity: node,
            own: None,
            moves: 0,
            switches: 0,
            durable: Zxid::ZERO,
            rotten: false,
            wiped: false,
            rotten_epoch: None,
            unremoved: 0,
            effects: [0; Effect::COUNT],
            large: (Bytes::new(), 0),
            packets: 0,
            doomed: None,
            disk_stream: Stream::new(spec.seed, Purpose::Disk, node as u64),
            crash_stream: Stream::new(spec.seed, Purpose::Crash, node as u64),
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.process.is_some()
    }
    /// The server that runs here.
    pub(crate) fn server(&self) -> Option<&Peer> {
        self.process.as_ref().and_then(Process::server)
    }
    /// Quorum packets that were read here.
    pub(crate) fn packets(&self) -> u64 {
        self.packets + self.server().map_or(0, Peer::quorum_packets)
    }
    pub(crate) const fn listens(&self, port: Port) -> bool {
        self.listening[number(port)]
    }
    pub(crate) const fn listen(&mut self, port: Port, on: bool) {
        self.listening[number(port)] = on;
    }

    /// Digest of shared bytes that probably are those of the last time.
    pub(crate) fn hash_of(&mut self, bytes: &Bytes) -> u64 {
        // While they are held here, no others stand at their address.
        if (self.large.0.as_ptr(), self.large.0.len()) != (bytes.as_ptr(), bytes.len()) {
            let mut digest = Digest::new(0);
            digest.bytes(bytes);
            self.large = (bytes.clone(), digest.value());
        }
        self.large.1
    }

    /// Names the connection that this process asked for.
    pub(crate) fn dialed(&mut self, link: LinkId, conn: ConnId, port: Port) {
        assert_eq!(link.0, self.mine.len() as u64 + 1, "links are named in order");
        self.mine.push((conn, port));
    }
    /// Names an accepted connection.
    pub(crate) fn accept(&mut self, conn: ConnId, port: Port) -> LinkId {
        self.accepted.push((conn, port));
        LinkId(LinkId::ACCEPTED + self.accepted.len() as u64 - 1)
    }
    /// The connection with this name, and which end of it is here.
    pub(crate) fn find(&self, link: LinkId) -> Option<(ConnId, usize)> {
        self.held(link).map(|((conn, _), side)| (conn, side))
    }
    /// What kind of connection this is.
    pub(crate) fn port_of(&self, link: LinkId) -> Option<Port> {
        self.held(link).map(|((_, port), _)| port)
    }
    fn held(&self, link: LinkId) -> Option<((ConnId, Port), usize)> {
        if link.is_accepted() {
            self.accepted.get((link.0 - LinkId::ACCEPTED) as usize).map(|c| (*c, 1))
        } else {
            self.mine.get(link.0.checked_sub(1)? as usize).map(|c| (*c, 0))
        }
    }
    /// The switches that it starts with.
    pub(crate) fn features(&self) -> Features {
        let on = |bit: u32| self.switches & bit == 0;
        Features { tree_digest: on(1), leader_serves: on(2), ..Features::default() }
    }
    /// A suspended machine moves again, its clock too.
    pub(crate) fn right_clock(&mut self, now: Micros) {
        if let Some(rate) = self.rate_before.take() {
            self.clock.set_rate(now, rate);
        }
    }
    /// The process is gone: what it held is returned.
    pub(crate) fn end(&mut self) -> Vec<(ConnId, usize)> {
        self.packets = self.packets();
        self.process = None;
        self.out = Outbox::new();
        self.life += 1;
        self.listening = [false; 3];
        self.paused = false;
        self.wake_at = NEVER;
        self.lanes = Default::default();
        self.drains.clear();
        self.drain_planned = false;
        self.doomed = None;
        self.moved = None;
        self.platter = Platter::default();
        self.unremoved = 0;
        self.busy_until = 0;
        let mine = std::mem::take(&mut self.mine).into_iter().map(|(c, _)| (c, 0));
        let accepted = std::mem::take(&mut self.accepted).into_iter().map(|(c, _)| (c, 1));
        mine.chain(accepted).collect()
    }
}

/// The host part of addresses.
pub(crate) fn host_name(node: usize) -> String {
    format!("s{}", node + 1)
}

/// Ports as in the configuration of a real ensemble.
pub(crate) const fn port_number(port: Port) -> u16 {
    match port {
        Port::Client => 2181,
        Port::Election => 3888,
        Port::Quorum => 2888,
    }
}

/// Which server, and which of its ports, an address of the configuration names.
pub(crate) fn resolve(address: &str) -> Option<(usize, Port)> {
    let (host, port) = address.rsplit_once(':')?;
    let node: usize = host.strip_prefix('s')?.parse().ok()?;
    let port = match port {
        "2181" => Port::Client,
        "3888" => Port::Election,
        "2888" => Port::Quorum,
        _ => return None,
    };
    Some((node.checked_sub(1)?, port))
}

/// The servers of the run.
pub(crate) fn ensemble(spec: &RunSpec) -> Arc<Configuration> {
    let quorum = (!spec.topology.groups.is_empty()).then(|| Quorum::of(&spec.topology));
    let place = |node| quorum.as_ref().and_then(|quorum| quorum.place(node));
    let address = |node, port| format!("{}:{}", host_name(node), port_number(port)).into();
    let members = (0..spec.servers()).map(|node| Member {
        sid: Sid(node as i64 + 1),
        quorum: address(node, Port::Quorum),
        election: address(node, Port::Election),
        client: None,
        kind: if spec.is_voter(node) { MemberKind::Participant } else { MemberKind::Observer },
        weight: place(node).map_or(1, |(_, weight)| weight as i64),
        group: place(node).map(|(group, _)| group as i64 + 1),
    });
    Configuration::new(Ensemble { members: members.collect(), version: 0 })
}

/// What the server with the id of `identity` is told when it starts on machine `node` for the `life`-th time.
pub(crate) fn peer_config(
    spec: &RunSpec,
    ensemble: &Arc<Configuration>,
    node: usize,
    identity: usize,
    life: u32,
    switches: Features,
) -> PeerConfig {
    let t = &spec.timing;
    let l = &spec.limits;
    let tick = t.tick_ms;
    let auth = Auth {
        super_digest: spec.topology.super_digest.then(|| SUPER.to_owned()),
        enforced: spec.topology.enforced_auth.then(|| "digest".to_owned()).into_iter().collect(),
        ..Auth::default()
    };
    PeerConfig {
        sid: Sid(identity as i64 + 1),
        ensemble: Some(ensemble.clone()),
        kind: if spec.is_voter(identity) { MemberKind::Participant } else { MemberKind::Observer },
        timing: Timing {
            tick_ms: tick,
            init_limit: t.init_limit,
            sync_limit: t.sync_limit,
            connect_limit: 0,
            min_session_ms: t.session_ms[0],
            max_session_ms: t.session_ms[1],
            cnx_timeout_ms: tick * 3,
            min_notification_ms: (tick / 5).max(1),
            max_notification_ms: tick * 10,
            leader_connect_retry_ms: (tick / 10).max(1),
            sessionless_ms: tick * 20,
            container_check_ms: tick * 20,
            container_never_used_ms: rules(spec).never_used_ms,
            container_max_per_minute: 10_000,
        },
        limits: Limits {
            window_count: window(spec) as usize,
            window_bytes: l.window_bytes,
            max_client_cnxns: l.connections_of_address,
            epoch_len: epoch_len(spec),
            max_cnxns: l.max_connections,
            outstanding: l.outstanding,
            learner_queue_bytes: l.learner_queue,
            client_output_bytes: l.client_output,
            snap_chunk_bytes: l.snap_chunk,
            max_snap_syncs: l.max_snap_syncs,
            max_diff_syncs: l.max_diff_syncs,
            requests: RequestThrottle { max_requests: l.requests, wait_ms: l.request_wait_ms, drop_late: l.drop_late },
            connects: ConnectThrottle {
                tokens: l.connect_tokens,
                fill_ms: l.connect_fill_ms,
                freeze_ms: l.connect_freeze_ms,
                ..ConnectThrottle::OFF
            },
            ..Limits::default()
        },
        storage: Storage {
            snap_count: snap_count(spec),
            // A thousand of them have to fit into memory.
            prealloc_bytes: if spec.servers() > 100 { l.prealloc.min(2 << 10) } else { l.prealloc },
            log_size_limit: l.log_size,
            retain_count: l.retain,
            purge_interval_ms: tick * l.purge_ticks,
            chunk_bytes: l.chunk,
            snapshot_size_factor_permille: l.diff_log_permille,
            // Initial disks hold logs without snapshots.
            trust_empty: !spec.topology.initial.is_empty(),
            ..Storage::default()
        },
        features: Features {
            extended_types: spec.has_ttl(),
            read_only_mode: spec.topology.read_only,
            local_sessions: spec.topology.local_sessions,
            local_sessions_upgrading: rules(spec).upgrading,
            enforce_quota: spec.topology.enforce_quota,
            auth,
            ..switches
        },
        seed: Stream::new(spec.seed, Purpose::Peer, ((u64::from(life) + 1) << 32) | node as u64).any(),
        trace: true,
        mutants: mutants(spec),
    }
}

/// What its servers are told about requests, as the model reads it.
pub(crate) fn rules(spec: &RunSpec) -> Rules {
    let t = &spec.topology;
    Rules {
        extended_types: spec.has_ttl(),
        enforce_quota: t.enforce_quota,
        local_sessions: t.local_sessions,
        upgrading: t.local_sessions && !t.local_forever,
        never_used_ms: spec.timing.never_used_ticks * spec.timing.tick_ms,
        super_digest: t.super_digest,
        enforced_auth: t.enforced_auth,
    }
}

/// Transactions between two snapshots of a server.
pub(crate) fn snap_count(spec: &RunSpec) -> u64 {
    if spec.timing.snap_count > 0 { spec.timing.snap_count } else { crate::draw::snap_count(spec.seed) }
}

/// Committed proposals that are kept in memory.
pub(crate) fn window(spec: &RunSpec) -> u64 {
    if spec.timing.window > 0 { spec.timing.window } else { crate::draw::window(spec.seed) }
}

/// Transactions of one epoch at most.
pub(crate) fn epoch_len(spec: &RunSpec) -> u32 {
    let len = if spec.timing.epoch_len > 0 { spec.timing.epoch_len } else { crate::draw::epoch_len(spec.seed) };
    u32::try_from(len).unwrap_or(u32::MAX).clamp(1, u32::MAX - 1)
}

#[cfg(feature = "mutants")]
fn mutants(spec: &RunSpec) -> Mutants {
    let planted = spec.mutant.as_deref().and_then(quorate_core::mutant::Mutant::by_id);
    planted.map_or_else(Mutants::default, Mutants::planted)
}

#[cfg(not(feature = "mutants"))]
fn mutants(_spec: &RunSpec) -> Mutants {
    Mutants::default()
}
