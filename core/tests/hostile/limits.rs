//! Limits on the way in and on the way out, at their edges (client-protocol 2.3, 2.7, 12).

use quorate_core::config::PeerConfig;
use quorate_core::error::CloseReason;
use quorate_core::ids::{LinkId, SessionId, Zxid};
use quorate_core::wire::client::{ConnectRequest, Create, Request};
use quorate_core::wire::records::{Acl, Id, op, perm};

use crate::harness::{ClientEvent, Cluster, Profile};

/// jute.maxbuffer.
const FRAME_MAX: usize = 1_048_575;

/// Clients of one server that read what they are sent, unless they do not.
struct Clients {
    cluster: Cluster,
    seen: Vec<ClientEvent>,
    reading: bool,
}

impl Clients {
    fn of(cfg: &PeerConfig) -> Self {
        Self { cluster: Cluster::start(cfg, false), seen: Vec::new(), reading: true }
    }
    /// Of a follower.
    fn of_ensemble(cfg: &PeerConfig) -> Self {
        Self { cluster: Cluster::start(cfg, true), seen: Vec::new(), reading: true }
    }
    fn new() -> Self {
        Self::of(&Profile::new(0).config())
    }

    fn settle(&mut self) {
        while !self.cluster.events.is_empty() {
            for event in std::mem::take(&mut self.cluster.events) {
                if let (ClientEvent::Sent(link, bytes), true) = (&event, self.reading) {
                    self.cluster.drained(*link, bytes.len());
                }
                self.seen.push(event);
            }
        }
    }

    fn open(&mut self) -> LinkId {
        let link = self.cluster.open();
        self.settle();
        link
    }
    fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.cluster.bytes(link, bytes);
        self.settle();
    }
    fn ask(&mut self, link: LinkId, request: &Request<'_>) -> Vec<u8> {
        let mut frame = Vec::new();
        request.encode(1, &mut frame);
        self.send(link, &frame);
        self.got(link)
    }
    /// Whether this identity is taken.
    fn log_in(&mut self, link: LinkId, n: usize) -> bool {
        let auth = format!("{n}:x");
        let auth = Request::Auth { scheme: Some("digest".into()), auth: Some(auth.as_bytes()) };
        err(&self.ask(link, &auth)) == 0
    }
    fn connect(&mut self) -> LinkId {
        let link = self.open();
        self.send(link, &hello());
        assert_eq!(self.got(link).len(), 41, "a session");
        link
    }
    /// What this client has been sent since the last time.
    fn got(&mut self, link: LinkId) -> Vec<u8> {
        let mut got = Vec::new();
        self.seen.retain(|event| match event {
            ClientEvent::Sent(l, bytes) if *l == link => {
                got.extend_from_slice(bytes);
                false
            }
            _ => true,
        });
        got
    }
    fn closed(&self, link: LinkId) -> Option<CloseReason> {
        self.seen.iter().find_map(|event| match event {
            ClientEvent::Closed(l, why) if *l == link => Some(why.clone()),
            _ => None,
        })
    }
    fn paused(&self, link: LinkId) -> bool {
        let last = self.seen.iter().rev().find_map(|event| match event {
            ClientEvent::Pause(l) if *l == link => Some(true),
            ClientEvent::Resume(l) if *l == link => Some(false),
            _ => None,
        });
        last == Some(true)
    }
    fn view(&self, link: LinkId) -> quorate_core::front::ConnectionView {
        self.cluster.peer().front().connections().find(|c| c.link == link).expect("it is open")
    }
}

fn hello() -> Vec<u8> {
    let request = ConnectRequest {
        protocol: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout: 30_000,
        session: SessionId::NONE,
        password: Some(&[0; 16]),
        read_only: Some(false),
    };
    let mut frame = Vec::new();
    request.encode(&mut frame);
    frame
}

fn create<'a>(path: &'a str, data: &'a [u8]) -> Request<'a> {
    let acl = Some(vec![Acl::world(perm::ALL)]);
    Request::Create(Create { op: op::CREATE, path: Some(path.into()), data: Some(data), acl, flags: 0, ttl: -1 })
}
fn get_data(path: &str) -> Request<'_> {
    Request::GetData { path: Some(path.into()), watch: false }
}
fn err(reply: &[u8]) -> i32 {
    i32::from_be_bytes(reply[16..20].try_into().expect("a header"))
}
/// Xids of the frames in these bytes.
fn xids(mut bytes: &[u8]) -> Vec<i32> {
    let mut xids = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
        let len = i32::from_be_bytes(*head) as usize;
        xids.push(i32::from_be_bytes(rest[..4].try_into().expect("an xid")));
        bytes = &rest[len..];
    }
    xids
}

// ----- jute.maxbuffer ------------------------------------------------------------------------------------------------

#[test]
fn the_longest_frame_is_accepted_and_its_znode_read() {
    let _alone = crate::alone();
    let mut clients = Clients::new();
    let link = clients.connect();
    let mut empty = Vec::new();
    create("/max", &[]).encode(1, &mut empty);
    let data = vec![7; FRAME_MAX - (empty.len() - 4)];
    let reply = clients.ask(link, &create("/max", &data));
    assert_eq!(err(&reply), 0);
    // Recorded: longer than any request may be, and than many clients read.
    assert_eq!(clients.ask(link, &get_data("/max")).len(), 4 + 1_048_612);
    assert_eq!(clients.closed(link), None);
}

#[test]
fn a_frame_that_is_longer_ends_the_connection_at_once() {
    let _alone = crate::alone();
    for len in [FRAME_MAX as i32 + 1, i32::MAX, -1, i32::MIN] {
        let mut clients = Clients::new();
        let link = clients.connect();
        let before = clients.cluster.allocated;
        // As a request, after one that is answered first.
        let mut bytes = Vec::new();
        Request::Ping.encode(-2, &mut bytes);
        bytes.extend(len.to_be_bytes());
        clients.send(link, &bytes);
        assert_eq!(xids(&clients.got(link)), [-2]);
        assert!(matches!(clients.closed(link), Some(CloseReason::Undecodable(_))), "{len}");
        // As a first frame.
        let link = clients.open();
        clients.send(link, &len.to_be_bytes());
        assert!(clients.got(link).is_empty());
        assert!(matches!(clients.closed(link), Some(CloseReason::Undecodable(_))), "{len}");
        assert!(clients.cluster.allocated - before < 20_000, "{} bytes", clients.cluster.allocated - before);
    }
}

#[test]
fn an_incomplete_frame_takes_what_has_come_of_it() {
    let _alone = crate::alone();
    let mut clients = Clients::new();
    let link = clients.connect();
    let before = clients.cluster.allocated;
    clients.send(link, &(FRAME_MAX as i32).to_be_bytes());
    for _ in 0..1000 {
        clients.send(link, &[0]);
    }
    assert!(clients.cluster.allocated - before < 20_000, "{} bytes", clients.cluster.allocated - before);
    assert!(clients.got(link).is_empty());
}

/// What servers tell each other has room for `jute.maxbuffer.extrasize` behind the longest request: neither the identities that
/// travel with it nor those that take the place of "auth" may be more, or the packet would end the connection of two servers.
#[test]
fn the_longest_request_with_all_identities_passes_between_servers() {
    let _alone = crate::alone();
    for extra in [1024, 20_000, 70_000] {
        let mut cfg = Profile::new(0).config();
        (cfg.limits.frame_max, cfg.limits.frame_extra) = (100_000, extra);
        let mut clients = Clients::of_ensemble(&cfg);
        // How many identities a connection may have is found with one that is lost by it.
        let lost = clients.connect();
        let most = (0..).find(|n| !clients.log_in(lost, *n)).expect("there is a bound");
        let link = clients.connect();
        assert!(most > 0 && (0..most).all(|n| clients.log_in(link, n)));
        let mut empty = Vec::new();
        create("/max", &[]).encode(1, &mut empty);
        let data = vec![7; 100_000 - (empty.len() - 4)];
        assert_eq!(err(&clients.ask(link, &create("/max", &data))), 0, "{extra}");
        // The same with a list that grows.
        let auth = Acl { perms: perm::ALL, id: Id::new("auth", "") };
        for n in 1..200 {
            let acl = (0..n).map(|i| Acl { perms: i, ..auth.clone() }).collect();
            let data = Some(&data[..data.len() - 19 * n as usize]);
            let request =
                Create { op: op::CREATE, path: Some("/grown".into()), data, acl: Some(acl), flags: 2, ttl: -1 };
            let code = err(&clients.ask(link, &Request::Create(request)));
            assert!(matches!(code, 0 | -114), "{code}");
            assert!(clients.cluster.serves(), "{extra}: {n} entries");
        }
    }
}

// ----- replies -------------------------------------------------------------------------------------------------------

#[test]
fn a_multi_read_takes_bounded_memory() {
    let _alone = crate::alone();
    let mut clients = Clients::new();
    let link = clients.connect();
    let data = vec![7; 1 << 20 >> 1];
    clients.ask(link, &create("/half", &data));
    let before = clients.cluster.allocated;
    // 2 GiB: more than the length of a frame can say.
    let reply = clients.ask(link, &Request::MultiRead(vec![get_data("/half"); 4096]));
    assert_eq!((reply.len(), err(&reply)), (20, -5));
    assert!(clients.cluster.allocated - before < 300 << 20, "{} bytes", clients.cluster.allocated - before);
    let reply = clients.ask(link, &Request::MultiRead(vec![get_data("/half"); 100]));
    assert_eq!(err(&reply), 0);
    assert!(reply.len() > 50 << 20);
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let _alone = crate::alone();
    let mut clients = Clients::new();
    let limit = clients.cluster.peer().config().limits.client_output_bytes;
    let link = clients.connect();
    clients.ask(link, &create("/big", &vec![7; 500_000]));
    clients.reading = false;
    let mut frames = Vec::new();
    (1..=200).for_each(|xid| get_data("/big").encode(xid, &mut frames));
    clients.send(link, &frames);
    let view = clients.view(link);
    assert!(!view.reading && clients.paused(link));
    assert!(view.undrained > limit && view.undrained < limit + 600_000, "{view:?}");
    // It reads again, and misses nothing.
    clients.reading = true;
    let mut got = clients.got(link);
    clients.cluster.drained(link, got.len());
    clients.settle();
    got.extend(clients.got(link));
    assert_eq!(xids(&got), (1..=200).collect::<Vec<i32>>());
    assert!(clients.view(link).reading);
}

#[test]
fn a_client_that_reads_no_events_is_closed() {
    let _alone = crate::alone();
    let mut cfg = Profile::new(0).config();
    cfg.limits.client_output_bytes = 1000;
    let mut clients = Clients::of(&cfg);
    let (slow, busy) = (clients.connect(), clients.connect());
    clients.ask(slow, &Request::AddWatch { path: Some("/".into()), mode: 1 });
    clients.ask(busy, &create("/a", b""));
    // Whose connection is slow: events are all that anybody is sent for the writes below.
    let mut events = 0;
    while clients.closed(slow).is_none() {
        clients.cluster.bytes(busy, &{
            let mut frame = Vec::new();
            Request::SetData { path: Some("/a".into()), data: None, version: -1 }.encode(1, &mut frame);
            frame
        });
        for event in std::mem::take(&mut clients.cluster.events) {
            match &event {
                ClientEvent::Sent(link, bytes) if *link == busy => clients.cluster.drained(busy, bytes.len()),
                ClientEvent::Sent(_, bytes) => events += bytes.len(),
                _ => {}
            }
            clients.seen.push(event);
        }
        assert!(events < 20_000, "{events} bytes of events wait");
    }
    assert_eq!(clients.closed(slow), Some(CloseReason::TooSlow));
    assert!(events > 15_000, "{events} bytes of events");
}

// ----- requests in flight --------------------------------------------------------------------------------------------

#[test]
fn thousands_of_requests_in_flight_wait_their_turn() {
    let _alone = crate::alone();
    let mut cfg = Profile::new(0).config();
    cfg.limits.outstanding = 100;
    let mut clients = Clients::of(&cfg);
    let links = [clients.connect(), clients.connect()];
    clients.ask(links[0], &create("/a", b""));
    clients.cluster.hold(true);
    let mut frames = Vec::new();
    (1..=3000).for_each(|xid| match xid % 3 {
        0 => get_data("/a").encode(xid, &mut frames),
        1 => Request::SetData { path: Some("/a".into()), data: None, version: -1 }.encode(xid, &mut frames),
        _ => Request::Sync { path: Some("/a".into()) }.encode(xid, &mut frames),
    });
    for link in links {
        clients.send(link, &frames);
    }
    // globalOutstandingLimit: reading pauses where requests are outstanding.
    let outstanding = clients.cluster.peer().front().outstanding();
    assert!(outstanding <= 101, "{outstanding} in flight");
    for link in links {
        assert!(clients.paused(link), "nothing more is read");
    }
    // A client without a request in flight is served.
    let third = clients.connect_held();
    assert_eq!(third, None, "its session waits for the disk as all writes do");
    clients.cluster.hold(false);
    clients.settle();
    for link in links {
        assert_eq!(xids(&clients.got(link)), (1..=3000).collect::<Vec<i32>>());
        assert!(!clients.paused(link));
    }
    assert_eq!(clients.cluster.peer().front().outstanding(), 0);
}

#[test]
fn writes_of_clients_that_have_gone_count_until_they_are_decided() {
    let _alone = crate::alone();
    let mut cfg = Profile::new(0).config();
    cfg.limits.outstanding = 50;
    let mut clients = Clients::of(&cfg);
    let links: Vec<LinkId> = (0..20).map(|_| clients.connect()).collect();
    clients.ask(links[0], &create("/a", b""));
    clients.cluster.hold(true);
    let mut frames = Vec::new();
    let set = Request::SetData { path: Some("/a".into()), data: None, version: -1 };
    (1..=100).for_each(|xid| set.encode(xid, &mut frames));
    for link in &links {
        clients.send(*link, &frames);
        clients.cluster.hang_up(*link);
    }
    let outstanding = clients.cluster.peer().front().outstanding();
    // The first one fills it; each other has one request read before it waits.
    assert!(outstanding <= 50 + links.len(), "{outstanding} in flight");
    clients.cluster.hold(false);
    clients.settle();
    assert_eq!(clients.cluster.peer().front().outstanding(), 0);
    let link = clients.connect();
    assert_eq!(err(&clients.ask(link, &set)), 0);
}

impl Clients {
    /// The answer to a handshake while the disks are slow.
    fn connect_held(&mut self) -> Option<Vec<u8>> {
        let link = self.open();
        self.send(link, &hello());
        Some(self.got(link)).filter(|got| !got.is_empty())
    }
}

// ----- silence -------------------------------------------------------------------------------------------------------

#[test]
fn who_asks_for_no_session_is_closed() {
    let _alone = crate::alone();
    let mut clients = Clients::new();
    let (silent, slow) = (clients.open(), clients.open());
    // A byte now and then is no sign of life: the handshake never ends.
    for byte in [0, 0, 0, 45, 0, 0, 0, 0, 0] {
        clients.send(slow, &[byte]);
        clients.cluster.advance(1000);
        clients.settle();
        assert_eq!((clients.closed(silent), clients.closed(slow)), (None, None));
    }
    // 10 s, in buckets of as much.
    clients.cluster.advance(11_000);
    clients.settle();
    for link in [silent, slow] {
        assert!(matches!(clients.closed(link), Some(CloseReason::Timeout(_))));
        assert!(clients.got(link).is_empty());
    }
    assert_eq!(clients.cluster.peer().front().connection_count(), 0);
}
