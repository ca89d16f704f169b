//! Scripted parties: clients, and servers whose every byte is typed.

use std::borrow::Cow;

use quorate_core::event::Port;
use quorate_core::ids::{LinkId, SessionId, Sid, Zxid};
use quorate_core::jute::Put;
use quorate_core::wire::client::{ConnectRequest, ConnectResponse, Create, Request, next_frame};
use quorate_core::wire::notification::{Hello, Notification, Vote, VoterState};
use quorate_core::wire::packet::{ForwardedRequest, LearnerInfo, Packet, kind};
use quorate_core::wire::password::password;
use quorate_core::wire::records::{Acl, op, perm};

use crate::transcript::printer::zxid;
use crate::transcript::script::{Args, Script};
use crate::transcript::world::{World, address};
use crate::transcript::{MARKER, files};

/// A client of the script.
#[derive(Default, Clone)]
pub struct Client {
    pub server: String,
    session: i64,
    xid: i32,
}

fn create_request(path: &str, flags: i32) -> Request<'_> {
    // Containers and TTL znodes have opcodes of their own.
    let op = match flags {
        4 => op::CREATE_CONTAINER,
        5 => op::CREATE_TTL,
        _ => op::CREATE,
    };
    Request::Create(Create {
        op,
        path: Some(Cow::Borrowed(path)),
        data: Some(b"".as_slice()),
        acl: Some(vec![Acl::world(perm::ALL)]),
        flags,
        ttl: 1000,
    })
}

/// The flags of a create, from the words behind its path.
fn flags(args: &Args<'_>) -> i32 {
    ["ephemeral", "sequential", "both", "container", "ttl"]
        .iter()
        .position(|f| args.flag(f))
        .map_or(0, |i| i as i32 + 1)
}

impl Script {
    /// The id of a client's session, or a number.
    pub fn session(&self, text: &str) -> SessionId {
        match self.clients.get(text) {
            Some(client) => SessionId(client.session),
            None => SessionId(zxid(text).0),
        }
    }

    pub fn client(&mut self, w: &mut World, name: &str, what: &str, args: &Args<'_>) {
        match what {
            "connect" => {
                self.clients.insert(name.into(), Client::default());
                self.client_connect(w, name, args);
            }
            "reconnect" => self.client_connect(w, name, args),
            // Another connection with the session of a client.
            "resume" => {
                let session = self.session(args.word(1)).0;
                self.clients.insert(name.into(), Client { session, ..Client::default() });
                self.client_connect(w, name, args);
            }
            "drop" => {
                let server = self.clients[name].server.clone();
                let (c, e) = w.find_party(name, &server, Port::Client).expect("the client is connected");
                w.close(c, e);
            }
            _ => self.client_request(w, name, what, args),
        }
        w.run();
        self.learn_session(w, name);
    }

    fn client_connect(&mut self, w: &mut World, name: &str, args: &Args<'_>) {
        let client = self.clients.get_mut(name).expect("connect comes before reconnect");
        client.server = args.word(0).into();
        let session = SessionId(client.session);
        let secret = if session.0 == 0 || args.flag("wrong") { [0; 16] } else { password(session) };
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: Zxid(args.number("seen", 0)),
            timeout: args.number("timeout", 10_000) as i32,
            session,
            password: Some(&secret),
            read_only: Some(args.flag("readonly")),
        };
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let server = client.server.clone();
        w.received.remove(name);
        let c = w.open(name, LinkId::default(), Port::Client, &server);
        send_unseen(w, c, 0, &bytes);
    }

    /// The session's id is in the first frame that the client got.
    fn learn_session(&mut self, w: &World, name: &str) {
        let Some(client) = self.clients.get_mut(name).filter(|c| c.session == 0) else { return };
        let bytes = w.received.get(name).map(Vec::as_slice).unwrap_or_default();
        if let Ok(Some(frame)) = next_frame(bytes, 1 << 20)
            && let Ok(response) = ConnectResponse::decode(frame)
        {
            client.session = response.session.0;
        }
    }

    fn client_request(&mut self, w: &mut World, name: &str, what: &str, args: &Args<'_>) {
        let client = self.clients.get_mut(name).expect("a client connects first");
        client.xid += 1;
        let xid = if what == "ping" { -2 } else { client.xid };
        let mut bytes = Vec::new();
        let path = Some(Cow::Borrowed(args.words.first().copied().unwrap_or("/")));
        let request = match what {
            "create" => create_request(args.word(0), flags(args)),
            // Two creates: the first one is plain.
            "multi" => Request::Multi(vec![create_request(args.word(0), 0), create_request(args.word(1), flags(args))]),
            "reconfig" => Request::Reconfig { joining: None, leaving: None, new_members: None, config_id: -1 },
            "watch-again" => {
                let data = vec![Cow::Borrowed(args.word(0))];
                Request::SetWatches { seen: args.number("seen", 0), data, exist: Vec::new(), child: Vec::new() }
            }
            "set" => Request::SetData { path, data: Some(args.word(1).as_bytes()), version: -1 },
            "get" => Request::GetData { path, watch: args.flag("watch") },
            "exists" => Request::Exists { path, watch: args.flag("watch") },
            "delete" => Request::Delete { path, version: -1 },
            "sync" => Request::Sync { path },
            "ping" => Request::Ping,
            "close" => Request::CloseSession,
            "broken" => create_request("/broken", 0),
            other => panic!("a client cannot {other}"),
        };
        request.encode(xid, &mut bytes);
        if what == "broken" {
            bytes.truncate(bytes.len() - 6);
            let len = i32::try_from(bytes.len() - 4).expect("short").to_be_bytes();
            bytes[..4].copy_from_slice(&len);
        }
        let server = client.server.clone();
        let (c, e) = w.find_party(name, &server, Port::Client).expect("the client is connected");
        send_unseen(w, c, e, &bytes);
    }

    /// `raw P -> N PORT ...`
    pub fn raw(&mut self, w: &mut World, party: &str, server: &str, port: Port, what: &str, args: &Args<'_>) {
        let mut bytes = Vec::new();
        match (port, what) {
            (_, "bytes") => bytes = unhex(args.word(0)),
            (Port::Election, "hello") => {
                let sid = Sid(args.number("sid", party.parse().unwrap_or(99)));
                Hello { sid, addresses: vec![address(party, Port::Election)] }.encode(&mut bytes);
            }
            (Port::Election, state) => self.notification(state, args, &mut bytes),
            (Port::Quorum, kind) => self.packet(party, kind, args, &mut bytes),
            (Port::Client, _) => panic!("scripted clients are made with `client`"),
        }
        let live = w.find_party(party, server, port);
        if live.is_none() && !w.listens(server, port) {
            w.say(&format!("{server} refuses"));
            return;
        }
        let (c, e) = live.unwrap_or_else(|| (w.open(party, LinkId::default(), port, server), 0));
        send_unseen(w, c, e, &bytes);
    }

    fn notification(&self, state: &str, args: &Args<'_>, out: &mut Vec<u8>) {
        let state = match state {
            "LOOKING" => VoterState::Looking,
            "FOLLOWING" => VoterState::Following,
            "LEADING" => VoterState::Leading,
            "OBSERVING" => VoterState::Observing,
            other => panic!("{other} is no state of a voter"),
        };
        let leader = Sid(args.number("leader", 0));
        let vote = Vote { leader, zxid: zxid(args.value("zxid", "0x0")), epoch: args.number("epoch", 0) };
        let config = Some(self.config_text.as_bytes());
        Notification { state, vote, round: args.number("round", 1), version: 2, config }.encode(out);
    }

    /// Packets and their arguments: zxids are the first word behind the kind, where a kind has one.
    fn packet(&self, party: &str, what: &str, args: &Args<'_>, out: &mut Vec<u8>) {
        let at = || zxid(args.word(0));
        let mut data = Vec::new();
        let mut packet = |k: i32, zxid: Zxid, data: Option<&[u8]>| Packet::new(k, zxid, data).encode(out);
        match what {
            // accepted=E sid=N version=N [ours] [doubtful]
            "FOLLOWERINFO" | "OBSERVERINFO" => {
                let sid = Sid(args.number("sid", party.parse().unwrap_or(99)));
                let protocol = args.number("protocol", LearnerInfo::PROTOCOL.into()) as i32;
                data = LearnerInfo { sid, protocol, config_version: args.number("version", 0) }.encode();
                if args.flag("ours") || args.flag("doubtful") {
                    data.put_i32(MARKER);
                    data.put_i32(i32::from(args.flag("doubtful")));
                }
                let k = if what == "FOLLOWERINFO" { kind::FOLLOWERINFO } else { kind::OBSERVERINFO };
                packet(k, Zxid::new(args.number("accepted", 0), 0), Some(&data));
            }
            // epoch=E [ours]
            "LEADERINFO" => {
                data.put_i32(LearnerInfo::PROTOCOL);
                if args.flag("ours") {
                    data.put_i32(MARKER);
                }
                packet(kind::LEADERINFO, Zxid::new(args.number("epoch", 0), 0), Some(&data));
            }
            // ZXID current=E
            "ACKEPOCH" => {
                data.put_i32(args.number("current", 0) as i32);
                packet(kind::ACKEPOCH, at(), Some(&data));
            }
            "DIFF" => packet(kind::DIFF, at(), None),
            "TRUNC" => packet(kind::TRUNC, at(), None),
            "SNAP" => packet(kind::SNAP, at(), None),
            // RANGE...: the stream behind a SNAP with the znodes of these zxids; [half]: it breaks off in the middle
            "stream" => {
                data = files::snapshot_body(&args.zxids());
                data.put_string("BenWasHere");
                let len = if args.flag("half") { data.len() / 2 } else { data.len() };
                out.extend_from_slice(&data[..len]);
            }
            "NEWLEADER" => packet(kind::NEWLEADER, at(), Some(self.config_text.as_bytes())),
            "UPTODATE" => packet(kind::UPTODATE, Zxid::NONE, None),
            "ACK" => packet(kind::ACK, at(), None),
            "COMMIT" => packet(kind::COMMIT, at(), None),
            "SYNC" => packet(kind::SYNC, Zxid::ZERO, None),
            // ZXID create /path [n=children] | error CODE
            "PROPOSAL" | "INFORM" => {
                data = self.txn(at(), args);
                packet(if what == "INFORM" { kind::INFORM } else { kind::PROPOSAL }, at(), Some(&data));
            }
            // ZXID [touch=SESSION] [echo]
            "PING" => {
                if let Some(session) = args.find("touch") {
                    data.put_i64(self.session(session).0);
                    data.put_i32(10_000);
                }
                let reply = args.flag("echo") || !data.is_empty();
                packet(kind::PING, at(), reply.then_some(&data[..]));
            }
            // session=S valid=0|1 from leaders, session=S timeout=N from learners
            "REVALIDATE" => {
                data.put_i64(self.session(args.value("session", "0x0")).0);
                match args.find("valid") {
                    Some(valid) => data.put_bool(valid == "1"),
                    None => data.put_i32(args.number("timeout", 10_000) as i32),
                }
                packet(kind::REVALIDATE, Zxid::NONE, Some(&data));
            }
            // session=S cxid=N create /path | createSession | closeSession | sync | broken
            "REQUEST" => {
                data = self.request(args);
                packet(kind::REQUEST, Zxid::NONE, Some(&data));
            }
            // kind=N
            "packet" => packet(args.number("kind", 99) as i32, Zxid::ZERO, None),
            other => panic!("no packet {other}"),
        }
    }

    fn txn(&self, zxid: Zxid, args: &Args<'_>) -> Vec<u8> {
        if args.word(1) == "error" {
            let mut out = files::create(zxid, "/", 0);
            out.truncate(28);
            out.put_i32(op::ERROR);
            out.put_i32(-101);
            return out;
        }
        files::create(zxid, args.word(2), args.number("n", zxid.counter().into()) as i32)
    }

    fn request(&self, args: &Args<'_>) -> Vec<u8> {
        let mut body = Vec::new();
        let opcode = match args.word(0) {
            "create" | "broken" => {
                create_request(args.words.get(1).copied().unwrap_or("/broken"), 0).encode_body(&mut body);
                if args.word(0) == "broken" {
                    body.truncate(body.len() - 6);
                }
                op::CREATE
            }
            "createSession" => {
                body.put_i32(args.number("timeout", 10_000) as i32);
                op::CREATE_SESSION
            }
            "closeSession" => op::CLOSE_SESSION,
            "sync" => {
                body.put_string("/");
                op::SYNC
            }
            other => panic!("no request {other}"),
        };
        let mut out = Vec::new();
        let session = self.session(args.value("session", "0x0"));
        ForwardedRequest { session, cxid: args.number("cxid", 1) as i32, op: opcode, body: &body }.encode(&mut out);
        out
    }
}

/// Sends what the script's own line says already.
fn send_unseen(w: &mut World, c: usize, e: usize, bytes: &[u8]) {
    let quiet = std::mem::replace(&mut w.quiet, true);
    w.send(c, e, bytes);
    w.quiet = quiet;
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}
