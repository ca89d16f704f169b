//! The oracle: a slow, plain implementation of the znode tree and of sessions, written from the specification.
//!
//! It shares no logic with `core`: of that it uses the decoders of records, nothing else. It applies every decided
//! transaction once, checks that the transaction is what the client's request had to become ([`Model::explain`]), and keeps
//! enough history to answer what any read had to see at a recent zxid ([`Model::check_read`]).

mod acl;
mod compare;
mod exact;
mod explain;
mod path;
mod quota;
mod read;
mod znodes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::EventKind;
use quorate_core::wire::records::{Acl, CONTAINER_OWNER, Stat};
use quorate_core::wire::txn::{CreateMode, SubTxn, Txn, TxnHeader};

pub use acl::{DIGESTS, SUPER, ip, permits, proves, shown};
pub use compare::Difference;
pub use exact::exact;
pub use explain::{makes_ephemeral, part_code};
pub use path::{parent_of, valid_path};
pub use read::WatchList;
use znodes::Znodes;

use crate::past::after;

/// How many changes the history of reads reaches back: a server that lags by more is not checked against the model.
const HISTORY: usize = 1 << 18;

/// What a znode is at one zxid.
#[derive(Clone, Debug)]
struct State {
    data: Option<Bytes>,
    acl: Rc<[Acl<'static>]>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    aversion: i32,
    /// Children ever created.
    created: i32,
    children: i32,
    /// As stored: 0, a session, or the marks of containers and TTL znodes.
    owner: i64,
}

impl State {
    fn born(zxid: i64, time: i64, data: Option<Bytes>, acl: Vec<Acl<'static>>, owner: i64) -> Self {
        Self {
            data,
            acl: acl.into(),
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            aversion: 0,
            created: 0,
            children: 0,
            owner,
        }
    }
    /// Owned by a session: neither persistent nor container nor TTL.
    fn ephemeral(&self) -> Option<SessionId> {
        // Where TTL znodes do not exist, no server's id has their mark (2.2).
        let marked = self.owner == 0 || self.owner == CONTAINER_OWNER || (self.owner as u64 >> 56) == 0xff;
        (!marked).then_some(SessionId(self.owner))
    }
    fn stat(&self) -> Stat {
        Stat {
            czxid: Zxid(self.czxid),
            mzxid: Zxid(self.mzxid),
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.created.wrapping_mul(2).wrapping_sub(self.children),
            aversion: self.aversion,
            ephemeral_owner: self.ephemeral().map_or(0, |s| s.0),
            data_length: self.data.as_ref().map_or(0, |d| d.len() as i32),
            num_children: self.children,
            pzxid: Zxid(self.pzxid),
        }
    }
}

/// One znode, the dead included, with its past.
#[derive(Clone, Debug, Default)]
struct Znode {
    /// Its own path, once it is needed.
    path: Option<Rc<str>>,
    /// Of its newest state.
    digest: u64,
    /// Ascending; `None`: it did not exist from there on.
    states: VecDeque<(i64, Option<State>)>,
    /// Names of its children now.
    children: BTreeSet<Rc<str>>,
    /// Births and deaths of children, ascending.
    births: VecDeque<(i64, Rc<str>, bool)>,
}

impl Znode {
    fn now(&self) -> Option<&State> {
        self.states.back().and_then(|(_, s)| s.as_ref())
    }
    fn at(&self, zxid: i64) -> Option<&State> {
        let i = after(&self.states, |(z, _)| *z <= zxid);
        i.checked_sub(1).and_then(|i| self.states[i].1.as_ref())
    }
    fn put(&mut self, zxid: i64, state: Option<State>) {
        match self.states.back_mut() {
            Some((z, s)) if *z == zxid => *s = state,
            _ => self.states.push_back((zxid, state)),
        }
    }
}

/// What one op of a decided transaction gave.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// A znode, with its stat right after.
    Created(String, Stat),
    /// delete, check, createSession, closeSession.
    Done,
    /// setData, setACL: the stat right after.
    Stat(Stat),
    /// An error transaction, or a part of a multi that failed.
    Error(ErrorCode),
}

/// A change that watches may tell of.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// Of which transaction.
    pub zxid: Zxid,
    /// Created, deleted, or data changed. That the children of the parent changed goes without saying.
    pub kind: EventKind,
    /// Of what.
    pub path: Rc<str>,
    /// Which one of its transaction, from 0.
    pub number: u32,
    /// Whether the changes of its transaction have an order: those of a session's end have none.
    pub ordered: bool,
    /// Who may READ it (the new ACL, or the last one): for others a watch fires in silence.
    pub acl: Rc<[Acl<'static>]>,
    /// The same for its parent; of a change of data nothing.
    pub parent_acl: Rc<[Acl<'static>]>,
}

/// What the servers of a run are told about requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// TTL znodes exist.
    pub extended_types: bool,
    /// Hard limits of quotas count.
    pub enforce_quota: bool,
    /// Sessions may be known to one server only …
    pub local_sessions: bool,
    /// … and become global where they need to.
    pub upgrading: bool,
    /// A container that never had a child may go after so many ms; 0: never.
    pub never_used_ms: i64,
    /// There is a superDigest ([`SUPER`]).
    pub super_digest: bool,
    /// Only who has proved an identity of scheme digest is served.
    pub enforced_auth: bool,
}

/// What applying a transaction gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Applied {
    /// One entry, or one for each op of a multi.
    pub outcomes: Vec<Outcome>,
    /// In order.
    pub changes: Vec<Change>,
    /// Whether that order is the only one.
    ordered: bool,
}

/// A session that lives.
#[derive(Clone, Debug)]
struct Session {
    timeout: i32,
    owns: BTreeSet<Rc<str>>,
}

/// A session from its first transaction to its last, which may be to come.
#[derive(Clone, Copy, Debug)]
struct Life {
    timeout: i32,
    born: i64,
    died: i64,
}

/// How much there is right after a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sums {
    znodes: u32,
    ephemerals: u32,
    sessions: u32,
}

/// The tree, the sessions, and the recent past of both.
#[derive(Clone, Debug)]
pub struct Model {
    znodes: Znodes,
    sessions: BTreeMap<i64, Session>,
    /// Every session that ever was.
    granted: BTreeMap<i64, Life>,
    /// Births and deaths of sessions, ascending.
    lives: VecDeque<(i64, i64)>,
    sums: Sums,
    past_sums: VecDeque<(i64, Sums)>,
    last: i64,
    digest: u64,
    changes: VecDeque<Change>,
    /// Paths whose history may be shortened, by the zxid of the change that made it longer.
    aging: VecDeque<(i64, Rc<str>)>,
    /// Reads older than this cannot be checked.
    horizon: i64,
    rules: Rules,
}

impl Model {
    /// The tree of a new ensemble.
    #[must_use]
    pub fn new(extended_types: bool) -> Self {
        let mut model = Self {
            znodes: Znodes::default(),
            sessions: BTreeMap::new(),
            granted: BTreeMap::new(),
            lives: VecDeque::new(),
            sums: Sums { znodes: 4, ..Sums::default() },
            past_sums: VecDeque::new(),
            last: 0,
            digest: 0,
            changes: VecDeque::new(),
            aging: VecDeque::new(),
            horizon: 0,
            rules: Rules { extended_types, ..Rules::default() },
        };
        for (path, perms, children) in
            [("/", 31, 1), ("/zookeeper", 31, 2), ("/zookeeper/quota", 31, 0), ("/zookeeper/config", 1, 0)]
        {
            let mut state = State::born(0, 0, Some(Bytes::new()), vec![Acl::world(perms)], 0);
            state.children = children;
            if path == "/zookeeper/config" {
                state.aversion = -1;
            }
            let mut node = Znode { digest: digest_of(path, &state), ..Znode::default() };
            model.digest = model.digest.wrapping_add(node.digest);
            node.put(0, Some(state));
            *model.znodes.make(&path.into()) = node;
        }
        model.child_names("/").insert("zookeeper".into());
        model.child_names("/zookeeper").extend(["quota".into(), "config".into()]);
        model
    }

    /// The same for servers that are told this.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
    /// What the servers are told.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    fn child_names(&mut self, path: &str) -> &mut BTreeSet<Rc<str>> {
        &mut self.znodes.get_mut(path).expect("a znode that was just made").children
    }

    /// Zxid of the newest transaction.
    #[must_use]
    pub fn last(&self) -> Zxid {
        Zxid(self.last)
    }
    /// The tree's digest, version 2 (storage-format section 7).
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }
    /// Whether this session is alive.
    #[must_use]
    pub fn is_alive(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session.0)
    }
    /// Whether this session was ever created.
    #[must_use]
    pub fn was_granted(&self, session: SessionId) -> bool {
        self.granted.contains_key(&session.0)
    }
    /// When this session was closed; `None`: it lives, or never did.
    #[must_use]
    pub fn ended(&self, session: SessionId) -> Option<Zxid> {
        self.granted.get(&session.0).filter(|life| life.died < i64::MAX).map(|life| Zxid(life.died))
    }

    /// Whether a leader may delete this znode by itself at this time of its clock (client-protocol 11).
    ///
    /// # Errors
    /// Why not.
    pub fn may_reap(&self, path: &str, time: i64) -> Result<(), String> {
        let Some(state) = self.state(path) else { return Err(format!("there is no {path}")) };
        if state.children > 0 {
            return Err(format!("{path} has {} children", state.children));
        }
        if state.owner == CONTAINER_OWNER {
            let never_used = self.rules.never_used_ms;
            let due = state.created > 0 || (never_used > 0 && time - state.mtime > never_used);
            return if due { Ok(()) } else { Err(format!("the container {path} never had a child")) };
        }
        if !self.rules.extended_types || (state.owner as u64 >> 56) != 0xff {
            return Err(format!("{path} is neither a container nor has it a time to live"));
        }
        let (idle, ttl) = (time - state.mtime, state.owner & 0xff_ffff_ffff);
        if idle > ttl { Ok(()) } else { Err(format!("{path} was changed {idle} ms ago and may live for {ttl} ms")) }
    }

    /// The timeout of a session that is alive, ms.
    #[must_use]
    pub fn timeout(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session.0).map(|s| s.timeout)
    }
    /// The sessions that are alive, ascending.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().map(|s| SessionId(*s))
    }
    /// Changes of transactions above `zxid`, ascending; `None` when they are forgotten.
    #[must_use]
    pub fn changes_after(&self, zxid: Zxid) -> Option<impl Iterator<Item = &Change>> {
        let i = after(&self.changes, |c| c.zxid <= zxid);
        (zxid.0 >= self.horizon).then(|| self.changes.range(i..))
    }

    /// Applies the next decided transaction. `Err`: it contradicts the tree, in words.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Result<Applied, String> {
        if header.zxid.0 <= self.last {
            return Err(format!("zxid {} after {}", header.zxid, self.last()));
        }
        self.last = header.zxid.0;
        let ordered = !matches!(txn, Txn::CloseSession { .. });
        let mut applied = Applied { ordered, ..Applied::default() };
        match txn {
            Txn::Multi(parts) => self.multi(header, parts, &mut applied)?,
            txn => self.single(header, txn, &mut applied)?,
        }
        self.past_sums.push_back((self.last, self.sums));
        self.age();
        Ok(applied)
    }

    fn multi(&mut self, header: &TxnHeader, parts: &[SubTxn<'_>], applied: &mut Applied) -> Result<(), String> {
        let mut decoded = Vec::with_capacity(parts.len());
        for part in parts {
            decoded.push(Txn::decode(part.kind, &mut Reader::new(part.body)).map_err(|e| e.to_string())?);
        }
        if decoded.iter().any(|t| matches!(t, Txn::Error(_))) {
            // One part failed: none takes effect, those before it answer 0.
            applied.outcomes = decoded
                .iter()
                .map(|t| Outcome::Error(if let Txn::Error(code) = t { *code } else { ErrorCode::Ok }))
                .collect();
            return Ok(());
        }
        for txn in &decoded {
            self.single(header, txn, applied)?;
        }
        Ok(())
    }

    fn single(&mut self, h: &TxnHeader, txn: &Txn<'_>, applied: &mut Applied) -> Result<(), String> {
        let outcome = match txn {
            Txn::CreateSession { timeout } => self.create_session(h, *timeout)?,
            Txn::CloseSession { paths } => self.close_session(h, paths.as_deref(), applied)?,
            Txn::Create { path, data, acl, mode, parent_cversion } => {
                let owner = match mode {
                    CreateMode::Plain { ephemeral: false } => 0,
                    CreateMode::Plain { ephemeral: true } => h.session.0,
                    CreateMode::Container => CONTAINER_OWNER,
                    CreateMode::Ttl(ttl) => (0xff_u64 << 56) as i64 | *ttl,
                };
                let acl = acl.iter().map(|a| a.clone().into_owned()).collect();
                let born = State::born(h.zxid.0, h.time, data.map(Bytes::copy_from_slice), acl, owner);
                let stat = self.create(h, path, born, *parent_cversion, applied)?;
                Outcome::Created(path.to_string(), stat)
            }
            Txn::Delete { path } => {
                self.delete(h.zxid, path, applied)?;
                Outcome::Done
            }
            Txn::SetData { path, data, version } => {
                let length = |s: &State| s.data.as_ref().map_or(0, |d| d.len() as i64);
                let before = self.state(path).map_or(0, length);
                let stat = self.change(h.zxid, path, |s| {
                    s.data = data.map(Bytes::copy_from_slice);
                    s.mzxid = h.zxid.0;
                    s.mtime = h.time;
                    expect_next(&mut s.version, *version)
                })?;
                self.account(h.zxid.0, path, 0, i64::from(stat.data_length) - before);
                self.tell(h.zxid, EventKind::DataChanged, path, applied);
                Outcome::Stat(stat)
            }
            Txn::SetAcl { path, acl, version } => Outcome::Stat(self.change(h.zxid, path, |s| {
                s.acl = acl.iter().map(|a| a.clone().into_owned()).collect();
                expect_next(&mut s.aversion, *version)
            })?),
            Txn::Check { path, .. } => {
                self.state(path).ok_or_else(|| format!("check of {path}, which does not exist"))?;
                Outcome::Done
            }
            Txn::Error(code) => Outcome::Error(*code),
            Txn::Multi(_) => return Err("a multi inside a multi".into()),
        };
        applied.outcomes.push(outcome);
        Ok(())
    }

    fn create_session(&mut self, h: &TxnHeader, timeout: i32) -> Result<Outcome, String> {
        let life = Life { timeout, born: h.zxid.0, died: i64::MAX };
        if self.granted.insert(h.session.0, life).is_some() {
            return Err(format!("C10: session {} is granted a second time", h.session));
        }
        self.sessions.insert(h.session.0, Session { timeout, owns: BTreeSet::new() });
        self.lives.push_back((h.zxid.0, h.session.0));
        self.sums.sessions += 1;
        Ok(Outcome::Done)
    }

    fn close_session<S: AsRef<str>>(
        &mut self,
        h: &TxnHeader,
        paths: Option<&[S]>,
        applied: &mut Applied,
    ) -> Result<Outcome, String> {
        let ended = self.sessions.remove(&h.session.0);
        if let Some(life) = self.granted.get_mut(&h.session.0).filter(|_| ended.is_some()) {
            life.died = h.zxid.0;
            self.lives.push_back((h.zxid.0, h.session.0));
            self.sums.sessions -= 1;
        }
        let owns = ended.map(|s| s.owns).unwrap_or_default();
        if let Some(listed) = paths {
            let listed: BTreeSet<&str> = listed.iter().map(AsRef::as_ref).collect();
            if listed.len() != owns.len() || !owns.iter().all(|p| listed.contains(&**p)) {
                return Err(format!("D5: the close of {} lists {listed:?}, but it owns {owns:?}", h.session));
            }
        }
        for path in owns {
            self.delete(h.zxid, &path, applied)?;
        }
        Ok(Outcome::Done)
    }

    fn state(&self, path: &str) -> Option<&State> {
        self.znodes.get(path).and_then(Znode::now)
    }

    fn create(
        &mut self,
        h: &TxnHeader,
        path: &str,
        born: State,
        counter: i32,
        applied: &mut Applied,
    ) -> Result<Stat, String> {
        if self.state(path).is_some() {
            return Err(format!("create of {path}, which exists"));
        }
        let (parent, name) = path::split(path).ok_or_else(|| format!("create of {path:?}, which is no path"))?;
        if let Some(owner) = born.ephemeral()
            && self.sessions.get_mut(&owner.0).map(|s| s.owns.insert(path.into())).is_none()
        {
            return Err(format!("D5: {path} is created for session {owner}, which is not alive"));
        }
        self.sums.znodes += 1;
        self.sums.ephemerals += u32::from(born.ephemeral().is_some());
        let mut orphan = false;
        self.change(h.zxid, parent, |s| {
            s.created += 1;
            s.children += 1;
            s.pzxid = h.zxid.0;
            orphan = s.ephemeral().is_some();
            if counter != -1 && counter != s.created {
                return Err(format!("the counter of children is {counter} in the record, {} here", s.created));
            }
            Ok(())
        })?;
        if orphan {
            return Err(format!("D4: {path} is created below an ephemeral"));
        }
        let name: Rc<str> = name.into();
        let node = self.znodes.get_mut(parent).expect("it was just changed");
        node.births.push_back((h.zxid.0, name.clone(), true));
        node.children.insert(name);
        let stat = born.stat();
        let shared: Rc<str> = path.into();
        let node = self.znodes.make(&shared);
        node.digest = digest_of(path, &born);
        self.digest = self.digest.wrapping_add(node.digest);
        node.put(h.zxid.0, Some(born));
        self.aging.push_back((h.zxid.0, shared));
        self.account(h.zxid.0, path, 1, i64::from(stat.data_length));
        self.tell(h.zxid, EventKind::Created, path, applied);
        Ok(stat)
    }

    fn delete(&mut self, zxid: Zxid, path: &str, applied: &mut Applied) -> Result<(), String> {
        let Some(state) = self.state(path) else { return Err(format!("delete of {path}, which does not exist")) };
        if state.children > 0 {
            return Err(format!("D4: delete of {path}, which has children"));
        }
        let (parent, name) = path::split(path).ok_or_else(|| format!("delete of {path:?}"))?;
        let (gone, owner) = (digest_of(path, state), state.ephemeral());
        let length = i64::from(state.stat().data_length);
        self.digest = self.digest.wrapping_sub(gone);
        self.sums.znodes -= 1;
        self.sums.ephemerals -= u32::from(owner.is_some());
        if let Some(owner) = owner
            && let Some(session) = self.sessions.get_mut(&owner.0)
        {
            session.owns.remove(path);
        }
        self.znodes.get_mut(path).expect("it was just seen").put(zxid.0, None);
        self.aging.push_back((zxid.0, path.into()));
        self.change(zxid, parent, |s| {
            s.children -= 1;
            s.pzxid = zxid.0;
            Ok(())
        })?;
        let node = self.znodes.get_mut(parent).expect("it was just changed");
        node.children.remove(name);
        node.births.push_back((zxid.0, name.into(), false));
        self.account(zxid.0, path, -1, -length);
        self.tell(zxid, EventKind::Deleted, path, applied);
        Ok(())
    }

    fn change(
        &mut self,
        zxid: Zxid,
        path: &str,
        f: impl FnOnce(&mut State) -> Result<(), String>,
    ) -> Result<Stat, String> {
        let missing = || format!("change of {path:?}, which does not exist");
        let node = self.znodes.get_mut(path).ok_or_else(missing)?;
        let mut state = node.now().ok_or_else(missing)?.clone();
        self.digest = self.digest.wrapping_sub(node.digest);
        f(&mut state).map_err(|e| format!("{path}: {e}"))?;
        node.digest = digest_of(path, &state);
        self.digest = self.digest.wrapping_add(node.digest);
        let stat = state.stat();
        node.put(zxid.0, Some(state));
        let shared = node.path.get_or_insert_with(|| path.into()).clone();
        self.aging.push_back((zxid.0, shared));
        Ok(stat)
    }

    fn tell(&mut self, zxid: Zxid, kind: EventKind, path: &str, applied: &mut Applied) {
        let rights = |p: &str| -> Rc<[Acl<'static>]> {
            let node = self.znodes.get(p);
            let state = node.and_then(|n| n.states.iter().rev().find_map(|(_, s)| s.as_ref()));
            state.map_or_else(|| Rc::from([]), |s| s.acl.clone())
        };
        let acl = rights(path);
        let structural = kind != EventKind::DataChanged;
        let parent_acl = parent_of(path).filter(|_| structural).map_or_else(|| acl.clone(), rights);
        let number = applied.changes.len() as u32;
        let change = Change { zxid, kind, path: path.into(), number, ordered: applied.ordered, acl, parent_acl };
        self.changes.push_back(change.clone());
        applied.changes.push(change);
    }

    /// Forgets what is older than the history that reads are checked against.
    fn age(&mut self) {
        while self.aging.len() > HISTORY {
            let (zxid, path) = self.aging.pop_front().expect("it is long");
            self.horizon = self.horizon.max(zxid);
            let Some(node) = self.znodes.get_mut(&path) else { continue };
            while node.states.get(1).is_some_and(|(z, _)| *z <= zxid) {
                node.states.pop_front();
            }
            while node.births.front().is_some_and(|(z, ..)| *z <= zxid) {
                node.births.pop_front();
            }
            if node.states.len() == 1 && node.now().is_none() {
                self.znodes.remove(&path);
            }
        }
        while self.changes.front().is_some_and(|c| c.zxid.0 <= self.horizon) {
            self.changes.pop_front();
        }
        while self.lives.front().is_some_and(|(z, _)| *z <= self.horizon) {
            self.lives.pop_front();
        }
        while self.past_sums.len() > HISTORY {
            self.past_sums.pop_front();
        }
    }
}

/// Versions count up by one, wrap around, and leave out -1 (client-protocol 4.2).
fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

fn expect_next(version: &mut i32, recorded: i32) -> Result<(), String> {
    let before = *version;
    *version = next_version(before);
    // /zookeeper/config is born with aversion -1.
    if *version == recorded || before == -1 {
        *version = recorded;
        return Ok(());
    }
    Err(format!("version {recorded} in the record, {} expected", *version))
}

fn digest_of(path: &str, s: &State) -> u64 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(if path == "/" { b"" } else { path.as_bytes() });
    crc.update(s.data.as_deref().unwrap_or_default());
    for long in [s.czxid, s.mzxid, s.pzxid, s.ctime, s.mtime] {
        crc.update(&long.to_be_bytes());
    }
    for int in [s.version, s.created, s.aversion] {
        crc.update(&int.to_be_bytes());
    }
    crc.update(&s.owner.to_be_bytes());
    u64::from(crc.finalize())
}
