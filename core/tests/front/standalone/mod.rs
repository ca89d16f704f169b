//! A server alone without a disk: front, prepare, tree and watches, every transaction applied at once.

pub(crate) mod ask;
pub(crate) mod client;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use quorate_core::config::PeerConfig;
use quorate_core::event::{Action, Outbox, Role};
use quorate_core::front::{Front, FrontCtx, FrontEffect, FrontEffects, FrontStats, ServeInfo};
use quorate_core::ids::{LinkId, Millis, Now, SessionId, Zxid};
use quorate_core::request::prepare::{Incoming, Outcome, Preparer};
use quorate_core::session::{Origin, Tracker};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::watch::WatchManager;
use quorate_core::wire::records::{Id, op};
use quorate_core::wire::txn::{Txn, TxnHeader, decode_record};

/// Wall clock at the start, ms.
const EPOCH: Millis = 1_700_000_000_000;

#[derive(Debug)]
pub(crate) struct Standalone {
    cfg: PeerConfig,
    tree: DataTree,
    watches: WatchManager,
    front: Front,
    prepare: Preparer,
    tracker: Tracker,
    zxid: Zxid,
    mono_ms: Millis,
    next_reap: Millis,
    out: Outbox,
    effects: FrontEffects,
    links: u64,
    /// Requests wait for [`Standalone::let_go`].
    holding: bool,
    waiting: VecDeque<FrontEffect>,
    /// Bodies of those that wait.
    bodies: Vec<u8>,
    /// What each link was sent and nobody took yet.
    sent: BTreeMap<LinkId, Vec<u8>>,
    closed: BTreeSet<LinkId>,
}

impl Standalone {
    /// `start`: the zxid before the first transaction.
    pub(crate) fn new(cfg: PeerConfig, start: Zxid) -> Self {
        let tree = DataTree::new(cfg.seed, cfg.features.ttl_forms());
        let now = Now { mono_ms: 0, wall_ms: EPOCH };
        let mut server = Self {
            watches: WatchManager::new(cfg.seed),
            front: Front::new(&cfg, now),
            prepare: Preparer::new(&cfg, &tree),
            tracker: Tracker::new(cfg.timing.tick_ms),
            zxid: start,
            mono_ms: 0,
            next_reap: cfg.timing.container_check_ms,
            out: Outbox::new(),
            effects: FrontEffects::default(),
            links: LinkId::ACCEPTED,
            holding: false,
            waiting: VecDeque::new(),
            bodies: Vec::new(),
            sent: BTreeMap::new(),
            closed: BTreeSet::new(),
            tree,
            cfg,
        };
        let info = ServeInfo { role: Role::Standalone, min_seen: Zxid::ZERO };
        server.with_front(|front, ctx| front.start_serving(info, ctx));
        server
    }

    /// Serves in another role; without clients at first.
    pub(crate) fn serve_as(&mut self, role: Role) {
        let info = ServeInfo { role, min_seen: self.zxid };
        self.with_front(|front, ctx| front.start_serving(info, ctx));
        self.settle();
    }

    /// From now on requests wait for the ensemble.
    pub(crate) const fn hold(&mut self) {
        self.holding = true;
    }

    /// The `n` oldest of them are done; returns how many were there.
    pub(crate) fn let_go(&mut self, n: usize) -> usize {
        for done in 0..n {
            let Some(effect) = self.waiting.pop_front() else { return done };
            let bodies = self.bodies.clone();
            self.submitted(effect, &bodies);
            self.settle();
        }
        n
    }

    /// The last transaction.
    pub(crate) const fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Watches of all connections.
    pub(crate) fn watch_count(&self) -> usize {
        self.watches.count()
    }

    pub(crate) const fn tree(&self) -> &DataTree {
        &self.tree
    }

    /// Applies a transaction that no client asked for, made by another hand than the preparer's.
    pub(crate) fn apply(&mut self, kind: i32, txn: &Txn<'_>) {
        self.apply_as(SessionId(1), kind, txn);
    }

    /// The same for this session.
    pub(crate) fn apply_as(&mut self, session: SessionId, kind: i32, txn: &Txn<'_>) {
        self.zxid = self.zxid.next();
        let header = TxnHeader { session, cxid: 0, zxid: self.zxid, time: EPOCH, kind };
        let mut applied = Applied::default();
        self.tree.apply(&header, txn, &mut applied);
        self.prepare = Preparer::new(&self.cfg, &self.tree);
        self.with_front(|front, ctx| front.applied(&header, txn, &applied, ctx));
        self.settle();
    }

    fn submitted(&mut self, effect: FrontEffect, arena: &[u8]) {
        match effect {
            FrontEffect::Submit { link, op: op::SYNC, .. } => self.with_front(|front, ctx| front.synced(link, ctx)),
            FrontEffect::Submit { link, session, cxid, op, body, ids } => {
                self.order(session, cxid, op, &arena[body], &ids, Some(link));
            }
            other => panic!("{other:?} is not submitted"),
        }
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.mono_ms, wall_ms: EPOCH + self.mono_ms }
    }

    fn with_front<R>(&mut self, act: impl FnOnce(&mut Front, &mut FrontCtx<'_>) -> R) -> R {
        let now = self.now();
        let mut ctx = FrontCtx {
            now,
            tree: &self.tree,
            watches: &mut self.watches,
            out: &mut self.out,
            effects: &mut self.effects,
            cfg: &self.cfg,
        };
        act(&mut self.front, &mut ctx)
    }

    pub(crate) fn open(&mut self) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        self.with_front(|front, ctx| front.opened(link, remote, ctx));
        self.settle();
        link
    }

    pub(crate) fn bytes(&mut self, link: LinkId, bytes: &[u8]) {
        self.with_front(|front, ctx| front.bytes(link, bytes, ctx));
        self.settle();
    }

    pub(crate) fn hang_up(&mut self, link: LinkId) {
        self.with_front(|front, ctx| front.closed(link, ctx));
        self.settle();
        self.closed.insert(link);
    }

    /// What is taken has left the server.
    pub(crate) fn take_sent(&mut self, link: LinkId) -> Vec<u8> {
        let bytes = self.sent.remove(&link).unwrap_or_default();
        self.with_front(|front, ctx| front.drained(link, bytes.len(), ctx));
        self.settle();
        bytes
    }
    pub(crate) fn stats(&self) -> &FrontStats {
        self.front.stats()
    }
    pub(crate) fn is_closed(&self, link: LinkId) -> bool {
        self.closed.contains(&link)
    }

    /// Lets time pass.
    pub(crate) fn sleep(&mut self, ms: Millis) {
        let end = self.mono_ms + ms;
        while self.mono_ms < end {
            self.mono_ms += 10;
            let mut gone = Vec::new();
            self.tracker.expire(self.mono_ms, &mut gone);
            for expired in gone {
                self.order(expired.session, 0, op::CLOSE_SESSION, &[], &[], None);
            }
            if self.next_reap <= self.mono_ms {
                self.next_reap += self.cfg.timing.container_check_ms;
                let never_used = self.cfg.timing.container_never_used_ms;
                for path in self.tree.reapable(self.now().wall_ms, never_used, 1000) {
                    let mut body = (path.len() as i32).to_be_bytes().to_vec();
                    body.extend_from_slice(path.as_bytes());
                    self.order(SessionId::NONE, 0, op::DELETE_CONTAINER, &body, &[], None);
                }
            }
            self.with_front(Front::tick);
            self.settle();
        }
    }

    /// Carries out effects and actions until there are none.
    fn settle(&mut self) {
        loop {
            self.collect();
            let effects = std::mem::take(&mut self.effects);
            if effects.list.is_empty() {
                return;
            }
            for effect in effects.list {
                match effect {
                    FrontEffect::Submit { link, session, cxid, op, body, ids } if self.holding => {
                        let start = self.bodies.len();
                        self.bodies.extend_from_slice(&effects.arena[body]);
                        let body = start..self.bodies.len();
                        self.waiting.push_back(FrontEffect::Submit { link, session, cxid, op, body, ids });
                    }
                    FrontEffect::Submit { .. } => self.submitted(effect, &effects.arena),
                    FrontEffect::Revalidate { session, timeout, .. } => {
                        let valid = self.tracker.revalidate(self.mono_ms, session, timeout, Origin::Local);
                        self.with_front(|front, ctx| front.revalidated(session, valid, ctx));
                    }
                    FrontEffect::ResumedAtHome(_) => {}
                    FrontEffect::Touch { session, timeout } => self.tracker.touch(self.mono_ms, session, timeout),
                    FrontEffect::FourLetter { link, .. } => _ = self.closed.insert(link),
                }
            }
        }
    }

    fn collect(&mut self) {
        for action in self.out.actions() {
            match action {
                Action::Send { link, payload } => {
                    self.sent.entry(*link).or_default().extend_from_slice(self.out.bytes_of(payload));
                }
                Action::Close { link, .. } => _ = self.closed.insert(*link),
                _ => {}
            }
        }
        self.out.clear();
    }

    fn order(
        &mut self,
        session: SessionId,
        cxid: i32,
        op: i32,
        body: &[u8],
        ids: &[Id<'static>],
        link: Option<LinkId>,
    ) {
        let zxid = self.zxid.next();
        let incoming = Incoming { session, cxid, op, body, ids, origin: Origin::Local };
        let mut record = Vec::new();
        match self.prepare.prepare(&incoming, zxid, self.now(), &self.tree, &mut self.tracker, &mut record) {
            Outcome::Txn => {}
            Outcome::Dropped => return,
            Outcome::Refused(code) => {
                if let Some(link) = link {
                    self.with_front(|front, ctx| front.refused(link, session, cxid, code, ctx));
                }
                return;
            }
        }
        self.zxid = zxid;
        let (header, txn, digest) = decode_record(&record).expect("what was prepared decodes");
        let mut applied = Applied::default();
        self.tree.apply(&header, &txn, &mut applied);
        if let Some(digest) = digest {
            assert_eq!(digest.digest, self.tree.digest(), "digest of {txn:?}");
        } else {
            assert!(matches!(txn, Txn::Error(_)), "only errors go without a digest");
        }
        self.prepare.applied(zxid, &self.tree);
        if let Txn::CloseSession { .. } = txn {
            self.tracker.remove(self.now().mono_ms, session);
        }
        self.with_front(|front, ctx| front.applied(&header, &txn, &applied, ctx));
    }
}
