//! Random histories, live and replayed over fuzzy snapshots, against the model.

use quickcheck::{QuickCheck, TestResult};
use quorate_core::error::ErrorCode;
use quorate_core::ids::Zxid;
use quorate_core::tree::{Applied, DataTree};
use quorate_core::wire::records::{Acl, Id, op, perm};
use quorate_core::wire::txn::{CreateMode, decode_record};

use crate::body::Body;
use crate::model::{AclList, Model, Op, Told, open_acl};

/// What quickcheck draws: each triple is an operation.
pub(crate) type Draws = Vec<(u8, u8, u8)>;

const NAMES: [&str; 5] = ["a", "b", "c", "ab", "zookeeper"];

fn list(n: u8) -> AclList {
    let user = |name: &'static str| Acl { perms: perm::READ | perm::WRITE, id: Id::new("digest", name) };
    match n % 4 {
        0 | 1 => open_acl(),
        2 => vec![user("u:x"), Acl::world(perm::READ)],
        _ => vec![user("v:y")],
    }
}

fn data(n: u8) -> Option<Vec<u8>> {
    (!n.is_multiple_of(5)).then(|| vec![n; usize::from(n % 7)])
}

fn pick(model: &Model, n: u8) -> String {
    let paths: Vec<&String> = model.nodes.keys().filter(|p| !p.starts_with("/zookeeper")).collect();
    paths[usize::from(n) % paths.len()].clone()
}

fn one(model: &Model, (kind, a, b): (u8, u8, u8), session: i64) -> Op {
    let path = pick(model, a);
    let node = &model.nodes[&path];
    match kind % 16 {
        0..=5 => {
            let parent = path;
            let path = format!("{parent}/{}", NAMES[usize::from(b) % NAMES.len()]);
            let (kind, mode) = match (kind % 6, b % 3) {
                (0, _) => (op::CREATE_CONTAINER, CreateMode::Container),
                (1, _) => (op::CREATE_TTL, CreateMode::Ttl(5 + i64::from(a))),
                (2, _) => (op::CREATE2, CreateMode::Plain { ephemeral: true }),
                (_, _) => (op::CREATE, CreateMode::Plain { ephemeral: false }),
            };
            // A live create is checked before it gets a transaction.
            if model.nodes.contains_key(&path) || node.stat.ephemeral_owner > 0 || parent.len() > 6 {
                return Op::SetData(parent.clone(), data(b), model.nodes[&parent].stat.version + 1);
            }
            let cversion = model.nodes[&parent].stat.cversion + 1;
            Op::Create { kind, path, data: data(a ^ b), acl: list(a), mode, cversion }
        }
        6..=8 if !path.is_empty() && model.children(&path).is_empty() => Op::Delete(path),
        9..=11 => Op::SetData(path, data(b), node.stat.version + 1),
        12 => Op::SetAcl(path, list(b), node.stat.aversion + 1),
        13 => Op::OpenSession(i32::from(a) * 100),
        14 => Op::CloseSession((b % 3 != 0).then(|| model.owned(session))),
        _ if b % 2 == 0 => Op::Check(path),
        _ => Op::Error(ErrorCode::NoNode),
    }
}

/// The next transaction of a live server, and who asked for it.
pub(crate) fn next_op(model: &Model, draws: &[(u8, u8, u8)]) -> (i64, Op) {
    let (kind, a, b) = draws[0];
    let session = 1 + i64::from(b % 3);
    if kind < 232 || draws.len() < 3 {
        return (session, one(model, (kind, a, b), session));
    }
    // A multi of the following draws, each against what the one before it did.
    let mut projected = model.clone();
    let mut parts = Vec::new();
    for draw in &draws[1..3] {
        let part = one(&projected, *draw, session);
        if matches!(part, Op::OpenSession(_) | Op::CloseSession(_)) {
            continue;
        }
        projected.apply(&part.header(session, i64::MAX / 100), &part, &mut Vec::new());
        parts.push(part);
    }
    (session, Op::Multi(parts))
}

/// The tree beside its model.
pub(crate) struct Pair {
    pub(crate) tree: DataTree,
    pub(crate) model: Model,
    pub(crate) zxid: i64,
    applied: Applied,
    /// Closing a session lists its ephemerals. Without that a fuzzy snapshot need not converge: a parent that was written
    /// before the session closed never hears of a child that was due after it.
    since_3_6: bool,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            tree: DataTree::new(7, true),
            model: Model::new(),
            zxid: 0,
            applied: Applied::default(),
            since_3_6: false,
        }
    }

    pub(crate) fn apply(&mut self, session: i64, op: &Op) {
        self.zxid += 1;
        let payload = op.payload(session, self.zxid);
        let (header, txn, _) = decode_record(&payload).expect("well formed");
        self.tree.apply(&header, &txn, &mut self.applied);
        let mut told = Told::new();
        let result = self.model.apply(&header, op, &mut told);
        assert_eq!(self.applied.result, result, "{op:?}");
        let changes: Told = self.applied.changes.iter().map(|c| (c.kind, c.path.clone(), c.acl.to_vec())).collect();
        if matches!(op, Op::CloseSession(_)) {
            // Order among the ephemerals is free.
            let sorted = |mut told: Told| {
                told.sort_by_key(|(kind, path, _)| (path.clone(), *kind));
                told
            };
            assert_eq!(sorted(changes), sorted(told), "{op:?}");
        } else {
            assert_eq!(changes, told, "{op:?}");
        }
        assert_eq!(self.tree.last_zxid(), Zxid(self.zxid));
        assert_eq!(self.tree.digest(), self.model.digest(), "{op:?}");
    }

    pub(crate) fn step(&mut self, draws: &[(u8, u8, u8)]) -> (i64, Op) {
        let (session, mut op) = next_op(&self.model, draws);
        if self.since_3_6 && op == Op::CloseSession(None) {
            op = Op::CloseSession(Some(self.model.owned(session)));
        }
        self.apply(session, &op);
        (session, op)
    }
}

#[test]
fn a_live_history_equals_the_model() {
    fn run(draws: Draws) -> TestResult {
        let mut pair = Pair::new();
        for i in 0..draws.len() {
            pair.step(&draws[i..]);
        }
        pair.model.assert_same(&pair.tree);
        TestResult::passed()
    }
    QuickCheck::new().tests(100).quickcheck(run as fn(Draws) -> TestResult);
}

/// Transactions that no leader would make: the tree does what the replay rules say and stays sound.
#[test]
fn any_transaction_can_be_applied() {
    fn run(draws: Draws) -> TestResult {
        let mut pair = Pair::new();
        for (kind, a, b) in draws {
            let path = match a % 4 {
                0 => format!("/{}", NAMES[usize::from(a) / 4 % 5]),
                1 => format!("/{}/{}", NAMES[usize::from(a) / 4 % 5], NAMES[usize::from(b) % 5]),
                _ => format!("/a/b/{}", NAMES[usize::from(b) % 5]),
            };
            let op = match kind % 6 {
                0 | 1 => Op::Create {
                    kind: op::CREATE,
                    path,
                    data: data(b),
                    acl: list(b),
                    mode: CreateMode::Plain { ephemeral: a % 4 > 1 && b % 4 == 0 },
                    cversion: i32::from(b % 9) - 1,
                },
                2 => Op::Delete(path),
                3 => Op::SetData(path, data(b), i32::from(b)),
                4 => Op::SetAcl(path, list(b), i32::from(b)),
                _ => Op::CloseSession((a % 2 == 0).then(|| vec![path, "/b".into()])),
            };
            // The reserved znodes stay: the model's configuration node is never deleted.
            if !matches!(&op, Op::Delete(p) if p == "/zookeeper") && !format!("{op:?}").contains("\"/zookeeper\"") {
                pair.apply(1 + i64::from(b % 2), &op);
            }
        }
        pair.model.assert_same(&pair.tree);
        TestResult::passed()
    }
    QuickCheck::new().tests(100).quickcheck(run as fn(Draws) -> TestResult);
}

/// What Java writes while transactions go on: parents first, each znode as it is when its turn comes.
fn fuzzy_snapshot(pair: &mut Pair, draws: &Draws, mut at: usize) -> (Body, Vec<(i64, Op)>) {
    let mut log = Vec::new();
    let mut body = Body { sessions: pair.model.sessions.iter().map(|(id, t)| (*id, *t)).collect(), ..Body::default() };
    let lists: Vec<AclList> = (0..4).map(list).chain([vec![Acl::world(perm::READ)]]).collect();
    body.acls = lists.iter().cloned().enumerate().map(|(i, list)| (i as i64 + 1, list)).collect();
    let mut todo = vec![String::new()];
    while let Some(path) = todo.pop() {
        if let Some(node) = pair.model.nodes.get(&path) {
            let acl = lists.iter().position(|l| *l == node.acl).expect("a known list") as i64 + 1;
            body.nodes.push((path.clone(), node.data.clone(), acl, node.stat));
            todo.extend(pair.model.children(&path).into_iter().rev().map(|name| format!("{path}/{name}")));
        }
        if at < draws.len() {
            log.push(pair.step(&draws[at..]));
            at += 1;
        }
    }
    (body, log)
}

#[test]
fn replay_over_a_fuzzy_snapshot_converges() {
    fn run(before: Draws, during: Draws) -> TestResult {
        let mut pair = Pair::new();
        for i in 0..before.len() {
            pair.step(&before[i..]);
        }
        pair.since_3_6 = true;
        let start = pair.zxid;
        let (body, log) = fuzzy_snapshot(&mut pair, &during, 0);
        let mut tree = DataTree::new(8, true);
        body.load(&mut tree, Zxid(start)).expect("well formed");
        let mut applied = Applied::default();
        for (i, (session, op)) in log.iter().enumerate() {
            let payload = op.payload(*session, start + 1 + i as i64);
            let (header, txn, _) = decode_record(&payload).expect("well formed");
            tree.apply(&header, &txn, &mut applied);
        }
        assert_eq!(tree.digest(), pair.tree.digest());
        assert_eq!(tree.last_zxid(), pair.tree.last_zxid());
        pair.model.assert_same(&tree);
        TestResult::passed()
    }
    QuickCheck::new().tests(150).quickcheck(run as fn(Draws, Draws) -> TestResult);
}
