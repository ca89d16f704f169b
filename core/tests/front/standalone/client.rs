//! A client of the server: whole requests in, decoded replies out.

use quorate_core::config::PeerConfig;
use quorate_core::error::ErrorCode;
use quorate_core::ids::{LinkId, SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::{ConnectRequest, ReplyHeader, Request, RequestHeader, frame_len};

use super::Standalone;

/// One frame from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) xid: i32,
    pub(crate) zxid: Zxid,
    pub(crate) err: ErrorCode,
    pub(crate) body: Vec<u8>,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) link: LinkId,
    xid: i32,
}

impl Client {
    /// A new session of 10 s.
    pub(crate) fn connect(server: &mut Standalone) -> Self {
        let link = server.open();
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
        server.bytes(link, &bytes);
        assert_eq!(server.take_sent(link).len(), 41, "a session");
        Self { link, xid: 0 }
    }

    /// Sends a request; returns its xid.
    pub(crate) fn send(&mut self, server: &mut Standalone, request: &Request<'_>) -> i32 {
        let mut bytes = Vec::new();
        self.xid += 1;
        request.encode(self.xid, &mut bytes);
        server.bytes(self.link, &bytes);
        self.xid
    }

    /// Sends a request of any opcode and body.
    pub(crate) fn send_raw(&mut self, server: &mut Standalone, op: i32, body: &[u8]) -> i32 {
        self.xid += 1;
        let mut bytes = Vec::new();
        quorate_core::jute::frame(&mut bytes, |out| {
            RequestHeader { xid: self.xid, op }.encode(out);
            out.extend_from_slice(body);
        });
        server.bytes(self.link, &bytes);
        self.xid
    }

    /// What came since the last time.
    pub(crate) fn take(&self, server: &mut Standalone) -> Vec<Frame> {
        let sent = server.take_sent(self.link);
        let mut rest = &sent[..];
        let mut frames = Vec::new();
        while let Some(len) = frame_len(rest, usize::MAX).expect("a frame") {
            let mut r = Reader::new(&rest[4..4 + len]);
            let ReplyHeader { xid, zxid, err } = ReplyHeader::decode(&mut r).expect("a header");
            frames.push(Frame { xid, zxid, err, body: r.rest().to_vec() });
            rest = &rest[4 + len..];
        }
        frames
    }

    /// Sends a request and takes its reply, which comes at once.
    pub(crate) fn ask(&mut self, server: &mut Standalone, request: &Request<'_>) -> Frame {
        let xid = self.send(server, request);
        let frame = self.take(server).into_iter().find(|f| f.xid == xid || f.xid < 0);
        frame.unwrap_or_else(|| panic!("no reply to {request:?}"))
    }

    /// The error of a request.
    pub(crate) fn err(&mut self, server: &mut Standalone, request: &Request<'_>) -> ErrorCode {
        self.ask(server, request).err
    }
}

/// A server of this configuration and one client.
pub(crate) fn server(cfg: PeerConfig) -> (Standalone, Client) {
    let mut server = Standalone::new(cfg, Zxid::ZERO);
    let client = Client::connect(&mut server);
    (server, client)
}
