//! The order of one connection's requests, whatever the client's speed.

#![allow(unreachable_pub)] // Nothing is outside of a test.

use std::net::{Ipv4Addr, SocketAddr};

use quorate_core::config::PeerConfig;
use quorate_core::event::{Action, Outbox, Role};
use quorate_core::front::{Front, FrontCtx, FrontEffect, FrontEffects, ServeInfo};
use quorate_core::ids::{LinkId, Now, SessionId, Zxid};
use quorate_core::tree::{Applied, DataTree};
use quorate_core::watch::WatchManager;
use quorate_core::wire::client::{ConnectRequest, Request};
use quorate_core::wire::records::op;
use quorate_core::wire::txn::{Txn, TxnHeader};

const NOW: Now = Now { mono_ms: 0, wall_ms: 0 };
const LINK: LinkId = LinkId(LinkId::ACCEPTED + 1);

struct Server {
    cfg: PeerConfig,
    tree: DataTree,
    watches: WatchManager,
    front: Front,
    out: Outbox,
    effects: FrontEffects,
    zxid: Zxid,
}

impl Server {
    fn front<R>(&mut self, act: impl FnOnce(&mut Front, &mut FrontCtx<'_>) -> R) -> R {
        let mut ctx = FrontCtx {
            now: NOW,
            tree: &self.tree,
            watches: &mut self.watches,
            out: &mut self.out,
            effects: &mut self.effects,
            cfg: &self.cfg,
        };
        act(&mut self.front, &mut ctx)
    }

    fn apply(&mut self, session: SessionId, cxid: i32, kind: i32, txn: &Txn<'_>) {
        self.zxid = self.zxid.next();
        let header = TxnHeader { session, cxid, zxid: self.zxid, time: 0, kind };
        let mut applied = Applied::default();
        self.tree.apply(&header, txn, &mut applied);
        self.front(|front, ctx| front.applied(&header, txn, &applied, ctx));
    }

    fn sent(&mut self) -> Vec<u8> {
        let bytes = self.out.actions().iter().filter_map(|a| match a {
            Action::Send { payload, .. } => Some(self.out.bytes_of(payload).to_vec()),
            _ => None,
        });
        let bytes: Vec<u8> = bytes.flatten().collect();
        self.out.clear();
        bytes
    }
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|w| w == text)
}

#[test]
fn a_read_of_a_slow_client_does_not_see_its_later_write() {
    let mut cfg = PeerConfig::default();
    cfg.limits.client_output_bytes = 10;
    let mut s = Server {
        tree: DataTree::new(1, true),
        watches: WatchManager::new(1),
        front: Front::new(&cfg, NOW),
        out: Outbox::new(),
        effects: FrontEffects::default(),
        zxid: Zxid::ZERO,
        cfg,
    };
    s.front(|f, ctx| f.start_serving(ServeInfo { role: Role::Standalone, min_seen: Zxid::ZERO }, ctx));
    s.front(|f, ctx| f.opened(LINK, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), ctx));
    let mut bytes = Vec::new();
    let hello = ConnectRequest {
        protocol: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout: 10_000,
        session: SessionId::NONE,
        password: Some(&[0; 16]),
        read_only: Some(false),
    };
    hello.encode(&mut bytes);
    s.front(|f, ctx| f.bytes(LINK, &bytes, ctx));
    let Some(FrontEffect::Submit { session, .. }) = s.effects.list.pop() else { panic!("a session is asked for") };
    s.apply(session, 0, op::CREATE_SESSION, &Txn::CreateSession { timeout: 10_000 });
    let sent = s.sent().len();
    s.front(|f, ctx| f.drained(LINK, sent, ctx));

    let path = || Some("/zookeeper".into());
    let mut bytes = Vec::new();
    Request::SetData { path: path(), data: Some(b"before"), version: -1 }.encode(1, &mut bytes);
    Request::GetData { path: path(), watch: false }.encode(2, &mut bytes);
    Request::SetData { path: path(), data: Some(b"behind"), version: -1 }.encode(3, &mut bytes);
    s.front(|f, ctx| f.bytes(LINK, &bytes, ctx));
    let set = |data| Txn::SetData { path: "/zookeeper".into(), data: Some(data), version: 1 };
    s.apply(session, 1, op::SET_DATA, &set(b"before"));
    s.apply(session, 3, op::SET_DATA, &set(b"behind"));
    let mut all = s.sent();
    let len = all.len();
    s.front(|f, ctx| f.drained(LINK, len, ctx));
    all.extend(s.sent());
    assert!(has(&all, b"before") && !has(&all, b"behind"), "the read comes before the second write");
}
