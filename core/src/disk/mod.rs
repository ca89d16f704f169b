//! Log, snapshots, epoch files, watermark: durable state, recovery and group commit, out of [`DiskOp`] primitives.

//!
//! Everything is a composition of primitives; what survives a crash between two of them is recovery's to understand. Promises
//! (epochs), cuts and installations are tasks: sequences of steps on the log lane, one at a time.

mod epochs;
mod files;
mod incoming;
mod io;
mod log;
mod own;
mod purge;
mod readers;
mod recover;
mod scan;
mod settle;
mod snapwriter;
mod state;
mod stream;
mod truncate;
mod watermark;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::PeerConfig;
use crate::error::DiskError;
use crate::event::{DiskOp, DiskReply, Halt, Health, Outbox};
use crate::ids::{Epoch, Millis, Now, Ticket, Zxid};
use crate::mutant::Mutant;
use crate::wire::snapshot::SnapSink;
use crate::wire::txnlog::Record;
use io::{Done, Io, Job, LogJob, Task};

/// Where recovery puts what it reads.
pub trait RecoverySink: SnapSink {
    /// A snapshot follows: forget everything, also what an earlier `begin_snapshot` of this recovery has brought.
    fn begin_snapshot(&mut self, zxid: Zxid);
    /// The snapshot is whole and all its seals are right; `digest`: what it says of the tree at this zxid. Returns the digest of
    /// the loaded tree.
    fn end_snapshot(&mut self, zxid: Zxid, digest: Option<u64>) -> u64;
    /// There is no snapshot: forget everything and start with the empty tree at zxid 0.
    fn begin_empty(&mut self);
    /// The next record of the log, in zxid order, all above the snapshot. An error is a reason why the record cannot be used.
    fn record(&mut self, zxid: Zxid, payload: Bytes) -> Result<(), String>;
}

/// What recovery found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// Newest zxid in log and snapshots.
    pub last_logged: Zxid,
    /// Zxid of the snapshot that was loaded; zero without one.
    pub snapshot: Zxid,
    /// Whether a snapshot file was loaded. Without one the peer writes one (`snapshot.0` at the first start) when it may.
    pub has_snapshot: bool,
    /// Durable promise.
    pub accepted: Epoch,
    /// Epoch of the last leader that this server has synchronised with.
    pub current: Epoch,
    /// Trust.
    pub health: Health,
    /// Everything up to this zxid is known to be committed; at least the snapshot's zxid.
    pub committed_hint: Zxid,
    /// The tree to start from was that of one zxid: the initial one, or that of a snapshot which has the digest that it names for
    /// its zxid. Others may hold traces of later transactions; while those are replayed, the tree is that of no zxid. (One kind of
    /// Java's has such a digest and is fuzzy: taken at the end of a SNAP from a Java leader. Java, too, tells of a mismatch then.)
    pub exact: bool,
    /// No id of a session that was given away before says this ms or a later one; those of this life, for [`IDS_AHEAD`] ms of
    /// them, are on record as given away.
    pub ids_from: Millis,
}

/// So many ms of session ids are set aside at every start, 65,536 ids each. A start within that time of the last one goes on
/// behind them, whatever the wall clock says.
pub const IDS_AHEAD: Millis = 1 << 20;

/// A reader of old log or of a snapshot file; the files that it may still read are pinned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct ReaderId(pub u64);

/// What the disk tells the Peer.
#[derive(Clone, PartialEq, Debug)]
pub enum DiskEvent {
    /// Recovery (or a reload) is over.
    Recovered(Recovered),
    /// Every record up to this zxid is durable.
    Durable(Zxid),
    /// acceptedEpoch is durable.
    AcceptedDurable(Epoch),
    /// currentEpoch.tmp is durable.
    IntentDurable(Epoch),
    /// currentEpoch is durable.
    CurrentDurable(Epoch),
    /// The log was cut and the cut is durable.
    Truncated {
        /// Whether what is left ends exactly there (quorum-protocol section 15, "TRUNC to an absent zxid").
        ok: bool,
    },
    /// Bytes of the incoming snapshot were written: [`Disk::incoming_backlog`] is smaller.
    IncomingProgress,
    /// The incoming snapshot is durable and is what recovery will load; older log is out of the way.
    Installed(Zxid),
    /// Bytes of the own snapshot were written: [`Disk::snapshot_backlog`] is smaller.
    SnapshotProgress,
    /// The own snapshot is durable under its name.
    SnapshotDone {
        /// Its zxid.
        zxid: Zxid,
        /// Size of the file.
        bytes: u64,
    },
    /// The own snapshot was given up (disk full, an error, a reload): the walk may be cancelled; snapshots stay due.
    SnapshotFailed,
    /// Records for an [`Disk::open_log`] reader.
    LogRecords {
        /// Whose.
        reader: ReaderId,
        /// Ascending, following what was asked for.
        records: Vec<Record>,
        /// Everything that was durable when the reader reached it has been delivered.
        end: bool,
        /// The log does not contain what follows: it was purged, has a hole, or the zxid asked for is not in it.
        gap: bool,
    },
    /// Bytes for an [`Disk::open_snapshot`] reader: the body of the file, ending with the ustring "/".
    SnapData {
        /// Whose.
        reader: ReaderId,
        /// The bytes.
        bytes: Bytes,
        /// These are the last ones.
        end: bool,
    },
    /// The reader cannot go on: its file cannot be read or is damaged.
    ReaderFailed {
        /// Whose.
        reader: ReaderId,
    },
    /// An fsync of the log took this many ms.
    FsyncTook(Millis),
    /// Something that an operator should read.
    Warning(String),
    /// This server must stop.
    Fatal(Halt),
}

/// Longest payload that recovery takes for a record, at least: a bound against nonsense, not a limit of requests.
const RECORD_MAX: usize = 16 << 20;

fn record_max(cfg: &PeerConfig) -> usize {
    RECORD_MAX.max(cfg.limits.frame_max + cfg.limits.frame_extra + 4096)
}

/// Where the disk is in its life.
#[derive(Clone, Debug)]
enum Phase {
    New,
    /// A reload waits for what is on its way.
    Draining,
    Recovering(Box<recover::Recovery>),
    Ready,
}

/// The durable state of one server.
#[derive(Clone, Debug)]
pub struct Disk {
    cfg: PeerConfig,
    jobs: BTreeMap<Ticket, Job>,
    phase: Phase,
    /// It failed: nothing goes out any more, and nothing that comes in counts.
    dead: bool,
    now: Millis,
    /// The wall clock, for session ids.
    wall: Millis,
    /// Our record as it was last handed to a task.
    state: state::State,
    /// What is durable of it.
    accepted: Epoch,
    current: Epoch,
    health: Health,
    /// The trust must be written.
    trust_dirty: bool,
    first_start: bool,
    tasks: io::Tasks,
    log: log::Log,
    mark: watermark::Watermark,
    files: files::Files,
    /// Steps that clear damage away before anything is written behind it.
    stale: Option<Vec<Vec<DiskOp>>>,
    cleaning: bool,
    own: Option<snapwriter::SnapWriter>,
    own_digest: u64,
    own_renaming: bool,
    /// Records and bytes of log when it began: they count again when it fails.
    own_since: (u64, u64),
    snapshot_retry: Option<Millis>,
    due_permille: u64,
    draws: u64,
    incoming: Option<incoming::Incoming>,
    cut: Option<truncate::Cut>,
    readers: BTreeMap<ReaderId, readers::Reader>,
    next_reader: u64,
    purge: Option<purge::Purge>,
    /// Events that arose where they could not be told.
    late: Vec<DiskEvent>,
}

/// The bytes that a read answered with.
fn into_bytes(result: Result<DiskReply, DiskError>) -> Result<Bytes, DiskError> {
    match result? {
        DiskReply::Data(bytes) => Ok(bytes),
        _ => unreachable!("a read answers with bytes"),
    }
}

impl Disk {
    /// A disk that has not been read. Nothing happens before [`Disk::start`].
    #[must_use]
    pub fn new(cfg: &PeerConfig) -> Self {
        let mut disk = Self {
            cfg: cfg.clone(),
            jobs: BTreeMap::new(),
            phase: Phase::New,
            dead: false,
            now: 0,
            wall: 0,
            state: state::State::default(),
            accepted: 0,
            current: 0,
            health: Health::Intact,
            trust_dirty: false,
            first_start: false,
            tasks: io::Tasks::default(),
            log: log::Log::new(&cfg.storage, cfg.mutants),
            mark: watermark::Watermark::default(),
            files: files::Files::default(),
            stale: None,
            cleaning: false,
            own: None,
            own_digest: 0,
            own_renaming: false,
            own_since: (0, 0),
            snapshot_retry: None,
            due_permille: 0,
            draws: 0,
            incoming: None,
            cut: None,
            readers: BTreeMap::new(),
            next_reader: 0,
            purge: None,
            late: Vec::new(),
        };
        disk.draw_due();
        disk
    }

    fn record_max(&self) -> usize {
        record_max(&self.cfg)
    }

    /// Reads what is there; [`DiskEvent::Recovered`] or [`DiskEvent::Fatal`] follows.
    pub fn start(&mut self, out: &mut Outbox) {
        let mut jobs = core::mem::take(&mut self.jobs);
        self.begin_recovery(&mut Io { out, jobs: &mut jobs });
        self.jobs = jobs;
    }

    /// A disk operation ended. What recovery reads goes to `sink`, what the Peer must know to `events`.
    pub fn on_disk(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        out: &mut Outbox,
        events: &mut Vec<DiskEvent>,
    ) {
        self.now = self.now.max(now.mono_ms);
        self.wall = now.wall_ms;
        if let Some(job) = self.jobs.remove(&ticket)
            && !self.dead
        {
            let mut jobs = core::mem::take(&mut self.jobs);
            let mut io = Io { out, jobs: &mut jobs };
            let handled = self.handle(ticket, job, result, sink, &mut io, events);
            self.jobs = jobs;
            events.append(&mut self.late);
            if let Err(halt) = handled {
                self.dead = true;
                events.push(DiskEvent::Fatal(halt));
            }
        }
        if !self.dead {
            self.go_on(out);
        }
    }

    fn handle(
        &mut self,
        ticket: Ticket,
        job: Job,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) -> Result<(), Halt> {
        match job {
            Job::List(_) | Job::Small(_) | Job::Stream(_) => self.read_ended(ticket, job, result, sink, io, events)?,
            Job::Log(LogJob::Group) if result.is_err() && self.cfg.mutants.has(Mutant::K22) => self.log.sync_again(io),
            Job::Log(job) => self.log_ended(job, result.map(|_| ()), events)?,
            Job::Task { absent_ok } => {
                let forgiven = self.cfg.mutants.has(Mutant::B26) && self.cut.is_some();
                let result = if forgiven { Ok(DiskReply::Done) } else { result };
                let fail = |e| Halt::Disk(format!("the disk failed where a promise was to be written: {e}"));
                if let Some(done) = self.tasks.ended(result.map(|_| ()), absent_ok, io).map_err(fail)? {
                    self.task_done(done, io, events);
                }
            }
            Job::Watermark(job) => {
                if self.mark.ended(job, result.is_ok()) {
                    let text = "the watermark cannot be written: a torn log will be harder to tell from a damaged one";
                    events.push(DiskEvent::Warning(text.into()));
                }
            }
            Job::Own(id, bytes) => self.own_ended(id, bytes, result.map(|_| ()), io, events),
            Job::Incoming(id, bytes) => self.incoming_ended(id, bytes, result.map(|_| ()), io, events)?,
            Job::Reader(id) => {
                let bytes = result.map(|r| if let DiskReply::Data(bytes) = r { Some(bytes) } else { None });
                self.reader_ended(id, bytes, io, events);
            }
            Job::Nobody => {}
        }
        Ok(())
    }

    fn read_ended(
        &mut self,
        ticket: Ticket,
        job: Job,
        result: Result<DiskReply, DiskError>,
        sink: &mut dyn RecoverySink,
        io: &mut Io<'_>,
        events: &mut Vec<DiskEvent>,
    ) -> Result<(), Halt> {
        if !matches!(self.phase, Phase::Recovering(_)) {
            if let Job::Stream(id) = job
                && !self.cut_streamed(ticket, id, &result, io)
            {
                self.purge_streamed(ticket, id, result, io, events);
            }
            return Ok(());
        }
        let Phase::Recovering(mut r) = core::mem::replace(&mut self.phase, Phase::New) else { return Ok(()) };
        let handled = match job {
            Job::List(i) => self.listed(&mut r, i, result, sink, io),
            Job::Small(i) => self.small_read(&mut r, i, result, sink, io),
            Job::Stream(id) => {
                self.streamed(&mut r, ticket, id, result, sink, io);
                Ok(())
            }
            _ => Ok(()),
        };
        self.phase = Phase::Recovering(r);
        handled
    }

    fn log_ended(
        &mut self,
        job: LogJob,
        result: Result<(), DiskError>,
        events: &mut Vec<DiskEvent>,
    ) -> Result<(), Halt> {
        match (job, result) {
            (LogJob::Extend, _) | (LogJob::Step, Ok(())) => Ok(()),
            (_, Err(_)) if self.cfg.mutants.has(Mutant::B39) => Ok(()),
            (_, Err(e)) => Err(Halt::Disk(format!("the transaction log cannot be written: {e}"))),
            (LogJob::Group, Ok(())) => {
                let c = self.log.committed(&mut self.files.logs);
                self.mark.advance(c.file, c.last, c.end, c.sum);
                events.push(DiskEvent::FsyncTook(self.now - c.since));
                events.push(DiskEvent::Durable(c.last));
                Ok(())
            }
        }
    }

    fn task_done(&mut self, done: Done, io: &mut Io<'_>, events: &mut Vec<DiskEvent>) {
        match done {
            Done::Accepted(epoch) => {
                self.accepted = self.accepted.max(epoch);
                events.push(DiskEvent::AcceptedDurable(epoch));
            }
            Done::Intent(epoch) => events.push(DiskEvent::IntentDurable(epoch)),
            Done::Current(epoch) => {
                self.current = self.current.max(epoch);
                self.accepted = self.accepted.max(epoch);
                if self.health == Health::Empty {
                    // Synchronised with a leader, or one itself: its empty history is the ensemble's.
                    self.health = Health::Intact;
                }
                events.push(DiskEvent::CurrentDurable(epoch));
            }
            Done::Health => {}
            Done::Cleaned => self.cleaning = false,
            Done::Recovered | Done::Resumed => self.recovery_written(done, io, events),
            Done::Truncated { last, ok } => self.truncated(last, ok, events),
            Done::Installed(zxid) => self.installed(zxid, events),
        }
    }

    /// What waited for something else to end.
    fn go_on(&mut self, out: &mut Outbox) {
        let mut jobs = core::mem::take(&mut self.jobs);
        let mut io = Io { out, jobs: &mut jobs };
        if matches!(self.phase, Phase::Ready) {
            self.mark.pump(self.now, &mut io);
        }
        self.continue_cut(&mut io);
        if self.cut.is_none() && !self.own_renaming {
            self.install(&mut io);
        }
        self.jobs = jobs;
        self.drained(out);
    }

    /// When [`Disk::tick`] has something to do; ms of the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.dead || !matches!(self.phase, Phase::Ready) {
            return None;
        }
        let retry = self.snapshot_retry.filter(|at| *at > self.now);
        match (self.mark.next_deadline(), retry) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now, out: &mut Outbox) {
        self.now = self.now.max(now.mono_ms);
        if !self.dead && matches!(self.phase, Phase::Ready) {
            self.mark.pump(self.now, &mut Io { out, jobs: &mut self.jobs });
        }
    }

    /// Hands a record to the log. It goes out with the next [`Disk::flush`]; [`DiskEvent::Durable`] follows.
    pub fn append(&mut self, zxid: Zxid, payload: Bytes) {
        if !self.dead {
            self.log.append(zxid, &payload);
        }
    }

    /// Sends what was appended on its way, unless an earlier group is on its way: then it gathers. Call it after every step.
    pub fn flush(&mut self, now: Now, out: &mut Outbox) {
        self.now = self.now.max(now.mono_ms);
        let ready = matches!(self.phase, Phase::Ready | Phase::Draining);
        if self.dead || !ready {
            return;
        }
        let mut io = Io { out, jobs: &mut self.jobs };
        if core::mem::take(&mut self.trust_dirty) {
            let [write, rename] = epochs::write_state(&self.state);
            self.tasks.push(Task::new(Done::Health).step(write).step(rename), &mut io);
        }
        if self.log.has_buffered()
            && let Some(steps) = self.stale.take()
        {
            self.cleaning = true;
            let lower = self.mark.lower(watermark::Mark::default());
            let task = steps.into_iter().fold(Task::new(Done::Cleaned).step(lower), Task::step);
            let last = self.log.durable;
            self.files.logs.retain(|f| f.first <= last);
            self.files.snaps.retain(|s| s.zxid <= last && s.trusted);
            self.tasks.push(task, &mut io);
        }
        let installing = self.incoming.as_ref().is_some_and(incoming::Incoming::is_installing);
        let held = self.cleaning || installing || self.cut.as_ref().is_some_and(|c| !c.is_waiting());
        if !held {
            self.log.flush(self.now, &mut self.files.logs, &mut io);
        }
    }

    /// Newest zxid handed to the log, or the snapshot's.
    #[must_use]
    pub fn last_logged(&self) -> Zxid {
        self.log.last
    }
    /// Whether the log on disk can prove what follows this zxid (see `readers`): below the snapshot that recovery began with no
    /// step between epochs was checked, and a reader may have found that something is missing.
    #[must_use]
    pub fn log_proves(&self, from: Zxid) -> bool {
        let whole = from >= self.files.chain || from.epoch() == self.files.chain.epoch();
        from >= self.files.holed && (whole || self.cfg.mutants.has(Mutant::B20))
    }
    /// A reader has found that what follows this zxid is not in the log. The next leader here need not try again.
    pub fn log_ends_at(&mut self, zxid: Zxid) {
        self.files.holed = self.files.holed.max(zxid.next());
    }
    /// Newest zxid that is durable, as is everything before it.
    #[must_use]
    pub fn durable(&self) -> Zxid {
        self.log.durable
    }
    /// Whether something is on its way that decides what a restart would find.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let moving = self.cut.is_some() || self.incoming.is_some() || self.trust_dirty;
        !matches!(self.phase, Phase::Ready) || moving || !self.log.is_quiet() || !self.tasks.is_idle()
    }
    /// Whether the directory was empty at the start and holds no snapshot yet.
    #[must_use]
    pub fn is_first_start(&self) -> bool {
        self.first_start
    }
    /// How far this disk can be trusted.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }
    /// The durable promise.
    #[must_use]
    pub fn accepted_epoch(&self) -> Epoch {
        self.accepted
    }
    /// The durable currentEpoch.
    #[must_use]
    pub fn current_epoch(&self) -> Epoch {
        self.current
    }

    /// A leader has synchronised this server and all of it is durable: what was damaged or doubtful is repaired. Written with
    /// the next [`Disk::flush`].
    pub fn synchronised(&mut self) {
        if self.health != Health::Intact || matches!(self.state.trust, state::Trust::Damaged | state::Trust::Doubtful) {
            self.health = Health::Intact;
            self.state.trust = state::Trust::Trusted;
            self.trust_dirty = true;
        }
    }

    /// Everything up to this zxid is committed; a restart will know it, if not too recent.
    pub fn committed_hint(&mut self, zxid: Zxid) {
        self.mark.committed(zxid);
    }

    /// Size of the newest finished snapshot in bytes; 0 without one.
    #[must_use]
    pub fn newest_snapshot_bytes(&self) -> u64 {
        self.files.newest_trusted().map_or(0, |s| s.bytes)
    }

    /// Zxid of the newest finished snapshot.
    #[must_use]
    pub fn newest_snapshot(&self) -> Option<Zxid> {
        self.files.newest_trusted().map(|s| s.zxid)
    }

    /// Bytes of the log files that hold what follows `after`.
    #[must_use]
    pub fn log_bytes_since(&self, after: Zxid) -> u64 {
        self.files.logs.iter().skip(self.files.log_from(after)).map(|f| f.end).sum()
    }
}
