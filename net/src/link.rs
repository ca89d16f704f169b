//! One connection.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use quorate_core::event::Port;
use quorate_core::ids::{LinkId, Millis};

use crate::outqueue::{OutQueue, Spares};

/// Bytes that one link may write in one turn of the loop.
const WRITE_TURN: usize = 1 << 20;

/// Where a link is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The name is being looked up.
    Resolving,
    /// Waits for the connection; the addresses to try next, last one first.
    Connecting { rest: Vec<SocketAddr> },
    /// Bytes move, events are reported.
    Open,
    /// The core knows it no more; its queue leaves.
    Closing,
    /// Our end is shut. What still comes is thrown away: to close now would reset the connection, and the other side would
    /// lose what it has not read yet.
    Lingering,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read1 {
    /// Nothing for the core.
    Nothing,
    /// That many bytes for the core.
    Bytes(usize),
    /// The core is to be told that the link is gone; the queue may still leave.
    Gone,
    /// The link can be dropped, the core knows.
    Drop,
}

/// What a flush brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flush1 {
    /// Bytes that left.
    pub(crate) left: usize,
    /// The link can be dropped.
    pub(crate) over: bool,
}

/// A connection and what waits on it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) port: Port,
    pub(crate) phase: Phase,
    pub(crate) stream: Option<TcpStream>,
    pub(crate) out: OutQueue,
    pub(crate) paused: bool,
    /// When its timer counts; earlier ones are of an earlier phase.
    pub(crate) deadline: Millis,
    /// In the table's list of links to write to.
    pub(crate) dirty: bool,
    /// In the table's list of links to read from.
    pub(crate) ready: bool,
    /// The last write filled the socket: wait for it.
    blocked: bool,
    /// The other side has sent all it will send: read until the end is seen, readiness is not reported again.
    ending: bool,
    /// The end has been read.
    ended: bool,
    /// Writing has failed: what is sent is dropped until reading tells the end.
    broken: bool,
}

impl Link {
    pub(crate) fn new(id: LinkId, port: Port, phase: Phase, stream: Option<TcpStream>) -> Self {
        Self {
            id,
            port,
            phase,
            stream,
            out: OutQueue::default(),
            paused: false,
            deadline: 0,
            dirty: false,
            ready: false,
            blocked: false,
            ending: false,
            ended: false,
            broken: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }
    /// Whether it takes bytes to send.
    pub(crate) fn accepts(&self) -> bool {
        self.is_open() && !self.broken
    }
    pub(crate) fn wants_write(&self) -> bool {
        !self.blocked && (!self.out.is_empty() || matches!(self.phase, Phase::Closing))
    }
    pub(crate) fn on_writable(&mut self) {
        self.blocked = false;
    }
    pub(crate) fn on_ending(&mut self) {
        self.ending = true;
    }

    /// One read. Sets `ready` when there may be more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read1 {
        let Some(stream) = &mut self.stream else { return Read1::Nothing };
        let open = match self.phase {
            // The end that reading would tell of is not read.
            Phase::Open if self.paused && self.broken => return self.fail(),
            Phase::Open if self.paused => return Read1::Nothing,
            Phase::Open => true,
            Phase::Closing | Phase::Lingering => false,
            Phase::Resolving | Phase::Connecting { .. } => return Read1::Nothing,
        };
        match stream.read(buffer) {
            Ok(0) => {
                self.ended = true;
                match self.phase {
                    Phase::Open => {
                        self.phase = Phase::Closing;
                        Read1::Gone
                    }
                    Phase::Closing if !self.out.is_empty() => Read1::Nothing,
                    _ => Read1::Drop,
                }
            }
            Ok(n) => {
                // Fewer bytes than were asked for: the socket is empty, and what comes next is reported.
                self.ready = n == buffer.len() || self.ending;
                if open { Read1::Bytes(n) } else { Read1::Nothing }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Read1::Nothing,
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                self.ready = true;
                Read1::Nothing
            }
            Err(_) => self.fail(),
        }
    }

    /// The connection has failed.
    pub(crate) fn fail(&mut self) -> Read1 {
        let open = self.is_open();
        self.phase = Phase::Closing;
        self.broken = true;
        self.ended = true;
        if open { Read1::Gone } else { Read1::Drop }
    }

    /// Whether nothing can leave any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.broken && self.ended
    }

    /// Writes what fits. Sets `dirty` when this turn's share is used up, `ready` when reading will tell of an end.
    pub(crate) fn flush(&mut self, spares: &mut Spares) -> Flush1 {
        let mut left = 0;
        let Some(stream) = &mut self.stream else { return Flush1 { left, over: false } };
        while !self.out.is_empty() && !self.blocked {
            if left >= WRITE_TURN {
                self.dirty = true;
                return Flush1 { left, over: false };
            }
            match self.out.write(stream, spares) {
                Ok(0) => self.broken = true,
                Ok(n) => left += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
            if self.broken {
                self.out.clear(spares);
                self.ready = true;
                return Flush1 { left, over: !self.is_open() };
            }
        }
        if self.out.is_empty() && matches!(self.phase, Phase::Closing) {
            if self.ended || stream.shutdown(Shutdown::Write).is_err() {
                return Flush1 { left, over: true };
            }
            self.phase = Phase::Lingering;
            self.ready = true;
        }
        Flush1 { left, over: false }
    }

    /// Whether the connection that was being made stands. `None`: not yet.
    pub(crate) fn connected(&self) -> Option<io::Result<SocketAddr>> {
        let stream = self.stream.as_ref()?;
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(e)) | Err(e) => return Some(Err(e)),
        }
        match stream.peer_addr() {
            // A port in the range of ephemeral ports on which nobody listens can connect to itself.
            Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
                Some(Err(ErrorKind::ConnectionRefused.into()))
            }
            Ok(peer) => Some(Ok(peer)),
            Err(e) if e.kind() == ErrorKind::NotConnected => None,
            Err(e) => Some(Err(e)),
        }
    }
}
