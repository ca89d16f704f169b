//! Sizes, periods, delays: to what they are by default.

use super::Shrinker;
use crate::spec::{Checks, Core, Dist, Generate, Limits, RunSpec, Timing, Topology};

/// Far more than a small run has.
const MANY: u64 = 100_000;

/// One thing made simple.
type Simple = fn(&mut RunSpec);

/// The most telling first.
const SIMPLE: &[Simple] = &[
    |s| s.network.links.clear(),
    |s| s.network.delay = Dist::Const { us: 1000 },
    |s| s.disk.fsync = Dist::Const { us: 1000 },
    |s| s.disk.write = Dist::Const { us: 50 },
    |s| s.limits = Limits::default(),
    |s| s.disk.budget = Default::default(),
    |s| s.disk.sector = 512,
    |s| s.timing.snap_count = MANY,
    |s| s.timing.window = 500,
    |s| s.timing.epoch_len = u64::from(u32::MAX - 1),
    |s| s.timing.session_ms = Timing::default().session_ms,
    |s| s.timing.init_limit = Timing::default().init_limit,
    |s| s.timing.sync_limit = Timing::default().sync_limit,
    |s| s.timing.tick_ms = Timing::default().tick_ms,
    |s| s.topology.local_sessions = false,
    |s| s.topology.local_forever = false,
    |s| s.topology.enforce_quota = false,
    |s| s.topology.plain_types = false,
    |s| s.topology.super_digest = false,
    |s| s.topology.enforced_auth = false,
    |s| {
        s.topology.groups.clear();
        s.topology.weights.clear();
    },
    |s| s.topology.weights.clear(),
    |s| s.timing.never_used_ticks = 0,
    |s| s.topology.read_only = false,
    |s| s.topology.attachable = Topology::default().attachable,
    |s| s.topology.initial.clear(),
    |s| s.workload.generate = Generate { ops: 0, min_commits: 0, ..Generate::default() },
    |s| s.limits.log_size = Limits::default().log_size,
    |s| s.limits.prealloc = Limits::default().prealloc,
    |s| s.limits.purge_ticks = Limits::default().purge_ticks,
    |s| s.limits.retain = Limits::default().retain,
    |s| s.limits.chunk = Limits::default().chunk,
    |s| s.limits.snap_chunk = Limits::default().snap_chunk,
    |s| s.limits.max_snap_syncs = Limits::default().max_snap_syncs,
    |s| s.limits.max_diff_syncs = Limits::default().max_diff_syncs,
    |s| s.limits.diff_log_permille = Limits::default().diff_log_permille,
    |s| s.limits.window_bytes = Limits::default().window_bytes,
    |s| s.limits.learner_queue = Limits::default().learner_queue,
    |s| s.limits.client_output = Limits::default().client_output,
    |s| s.limits.outstanding = Limits::default().outstanding,
    |s| s.limits.max_connections = Limits::default().max_connections,
    |s| s.limits.connections_of_address = 0,
    |s| (s.limits.requests, s.limits.request_wait_ms, s.limits.drop_late) = (0, 0, false),
    |s| (s.limits.request_wait_ms, s.limits.drop_late) = (0, false),
    |s| s.limits.connect_tokens = 0,
];

/// How many of them, from the first on, make delays constant.
const DELAYS: usize = 4;

impl Shrinker<'_> {
    pub(super) fn settings(&mut self) {
        let these = |list: &'static [Simple]| move |spec: &mut RunSpec| list.iter().for_each(|simple| simple(spec));
        for list in [SIMPLE, &SIMPLE[..DELAYS]] {
            let candidate = self.with(these(list));
            if self.attempt(vec![candidate]).is_some() {
                break;
            }
        }
        let seeds = std::mem::take(&mut self.seeds);
        for simple in SIMPLE {
            self.seeds = seeds / 8;
            let candidate = self.with(simple);
            self.attempt(vec![candidate]);
        }
        self.seeds = seeds;
    }

    /// What is demanded afterwards: of no use where safety is broken.
    pub(super) fn checks(&mut self) {
        let checks = Checks { liveness: !self.safety, core: Core::All, twice: false, ..self.best.checks.clone() };
        let simple = self.with(|spec| spec.checks = checks);
        let never = self.with(|spec| spec.timing.fault_ticks = spec.timing.max_ticks);
        let both = RunSpec { timing: never.timing.clone(), ..simple.clone() };
        let candidates = if self.safety { vec![both, simple, never] } else { vec![simple] };
        self.attempt(candidates);
    }

    /// The smallest seed that will do.
    pub(super) fn small_seed(&mut self) {
        let candidates = (0..self.best.seed.min(16)).map(|seed| self.with(|spec| spec.seed = seed)).collect();
        self.attempt(candidates);
    }
}
