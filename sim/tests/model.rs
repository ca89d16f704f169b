//! The model against the core, without a world: two implementations of one specification must agree on every request.

use quorate_core::config::PeerConfig;
use quorate_core::error::ErrorCode;
use quorate_core::ids::{LinkId, Now, SessionId, Sid, Zxid};
use quorate_core::jute::Reader;
use quorate_core::request::prepare::{Incoming, Outcome, Preparer};
use quorate_core::request::read::Reading;
use quorate_core::session::{Origin, Tracker};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::watch::WatchManager;
use quorate_core::wire::client::{Create, ReplyHeader, Request, Response};
use quorate_core::wire::records::{Acl, op};
use quorate_core::wire::txn::decode_record;
use quorate_sim::model::Model;
use quorate_sim::rng::{Purpose, Stream};

const SESSIONS: [i64; 3] = [0x100, 0x200, 0x300];
const PATHS: &[&str] =
    &["/a", "/a/b", "/a/b/c", "/a/bb", "/d", "/d/e", "/", "/zookeeper", "/zookeeper/config", "/f/", "x", "/a/", ""];

struct Both {
    cfg: PeerConfig,
    tree: DataTree,
    prepare: Preparer,
    tracker: Tracker,
    watches: WatchManager,
    applied: Applied,
    model: Model,
    zxid: Zxid,
    rng: Stream,
}

impl Both {
    fn new(seed: u64) -> Self {
        let cfg = PeerConfig { sid: Sid(1), ..PeerConfig::default() };
        let tree = DataTree::new(seed, false);
        let prepare = Preparer::new(&cfg, &tree);
        Self {
            prepare,
            tracker: Tracker::new(2000),
            watches: WatchManager::new(seed),
            applied: Applied::default(),
            model: Model::new(false),
            zxid: Zxid::new(1, 0),
            rng: Stream::new(seed, Purpose::Workload, 0),
            cfg,
            tree,
        }
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.rng.index(PATHS.len())]
    }

    fn write(&mut self) -> Request<'static> {
        let version = [-1, -1, -1, 0, 1, 2][self.rng.index(6)];
        let path = Some(self.path().into());
        let acl = [vec![Acl::world(31)], vec![Acl::world(1)], vec![Acl::world(31), Acl::world(31)], vec![]];
        match self.rng.below(8) {
            0..=3 => {
                let flags = [0, 0, 1, 2, 3, 4, 5, 7][self.rng.index(8)];
                let op = [op::CREATE, op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL][self.rng.index(4)];
                let acl = acl[if self.rng.permille(900) { 0 } else { self.rng.index(4) }].clone();
                Request::Create(Create { op, path, data: Some(b"data"), acl: Some(acl), flags, ttl: 5 })
            }
            4 => Request::Delete { path, version },
            5 => Request::SetData { path, data: (version != 0).then_some(b"new"), version },
            6 => Request::Check { path, version },
            _ => {
                let acl = acl[if self.rng.permille(900) { 0 } else { self.rng.index(4) }].clone();
                Request::SetAcl { path, acl: Some(acl), version }
            }
        }
    }

    fn request(&mut self) -> Request<'static> {
        loop {
            let request = self.write();
            let multi = self.rng.permille(300);
            if multi {
                let n = self.rng.below(4);
                let parts = (0..n).map(|_| self.write()).filter(|w| !matches!(w, Request::SetAcl { .. }));
                return Request::Multi(parts.collect());
            }
            if !matches!(request, Request::Check { .. }) {
                return request;
            }
        }
    }

    fn order(&mut self, session: SessionId, request: &Request<'_>) {
        let mut body = Vec::new();
        request.encode_body(&mut body);
        let next = self.zxid.next();
        let incoming =
            Incoming { session, cxid: next.0 as i32, op: request.op(), body: &body, ids: &[], origin: Origin::Local };
        let now = Now { mono_ms: 1000, wall_ms: 1_700_000_000_000 + next.0 };
        let mut record = Vec::new();
        match self.prepare.prepare(&incoming, next, now, &self.tree, &mut self.tracker, &mut record) {
            Outcome::Txn => {}
            Outcome::Dropped | Outcome::Refused(_) => return,
        }
        let (header, txn, digest) = decode_record(&record).expect("own record");
        self.model.explain(session, &[], Some(request), &txn, self.zxid).unwrap_or_else(|why| panic!("{why}"));
        self.zxid = next;
        self.tree.apply(&header, &txn, &mut self.applied);
        self.prepare.applied(next, &self.tree);
        self.model.apply(&header, &txn).unwrap_or_else(|why| panic!("{request:?} {txn:?}: {why}"));
        assert_eq!(self.model.digest(), self.tree.digest(), "after {request:?}");
        if let Some(digest) = digest {
            assert_eq!(self.model.digest(), digest.digest, "projected, {request:?}");
        }
    }

    fn read(&mut self, session: SessionId) {
        let path = Some(self.path().into());
        let watch = false;
        let request = match self.rng.below(8) {
            0 => Request::Exists { path, watch },
            1 => Request::GetData { path, watch },
            2 => Request::GetChildren { path, watch },
            3 => Request::GetChildren2 { path, watch },
            4 => Request::GetAcl { path },
            5 => Request::GetAllChildrenNumber { path },
            6 => Request::GetEphemerals { prefix: path },
            _ => Request::MultiRead(vec![
                Request::GetData { path: path.clone(), watch },
                Request::GetChildren { path, watch },
            ]),
        };
        let mut body = Vec::new();
        request.encode_body(&mut body);
        let mut reading = Reading {
            zxid: self.tree.last_zxid(),
            tree: &self.tree,
            lists: &mut quorate_core::request::lists::LastList::default(),
            watches: &mut self.watches,
            link: LinkId(1),
            session,
            ids: &[],
            auth: &quorate_core::config::Auth::default(),
            mutants: quorate_core::mutant::Mutants::default(),
        };
        let mut out = Vec::new();
        reading.answer(7, request.op(), &body, &mut out);
        let mut r = Reader::new(&out[4..]);
        let header = ReplyHeader::decode(&mut r).expect("a header");
        let rest = r.rest();
        let response = (header.err == ErrorCode::Ok).then(|| Response::decode(request.op(), rest).expect("a body"));
        let judged = self.model.check_read(self.zxid, session, &[], &request, header.err, response.as_ref());
        judged.unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn both_agree() {
    for seed in 0..60 {
        let mut both = Both::new(seed);
        for session in SESSIONS {
            both.order(SessionId(session), &Request::CreateSession { timeout: 4000 });
        }
        for i in 0..300 {
            let session = SessionId(SESSIONS[both.rng.index(3)]);
            let request = both.request();
            both.order(session, &request);
            both.read(session);
            if i % 97 == 96 {
                both.order(session, &Request::CloseSession);
            }
        }
        assert!(both.cfg.ensemble.is_none());
    }
}

/// A wrong answer must be seen: a checker that says yes to everything would pass the test above.
#[test]
fn wrong_answers_are_seen() {
    let mut both = Both::new(1);
    both.order(SessionId(0x100), &Request::CreateSession { timeout: 4000 });
    let create = |path: &'static str| {
        Request::Create(Create {
            op: op::CREATE,
            path: Some(path.into()),
            data: Some(b"data"),
            acl: Some(vec![Acl::world(31)]),
            flags: 0,
            ttl: -1,
        })
    };
    both.order(SessionId(0x100), &create("/a"));
    let before = both.zxid;
    both.order(SessionId(0x100), &create("/a/b"));
    let read = Request::GetChildren { path: Some("/a".into()), watch: false };
    let names =
        |names: &[&'static str]| Response::Names { names: names.iter().map(|n| (*n).into()).collect(), stat: None };
    let check =
        |at, err, body: Option<&Response<'_>>| both.model.check_read(at, SessionId(0x100), &[], &read, err, body);
    assert_eq!(check(both.zxid, ErrorCode::Ok, Some(&names(&["b"]))), Ok(true));
    assert_eq!(check(before, ErrorCode::Ok, Some(&names(&[]))), Ok(true));
    assert!(check(before, ErrorCode::Ok, Some(&names(&["b"]))).is_err(), "from the future");
    assert!(check(both.zxid, ErrorCode::Ok, Some(&names(&[]))).is_err(), "stale");
    assert!(check(both.zxid, ErrorCode::NoNode, None).is_err());
}
