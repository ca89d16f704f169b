//! Many connections with many requests in flight, from one thread.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::client::Session;
use super::request::{ReplyHeader, Request};
use super::{Setting, VALUE};

/// Sets in one multi.
pub const MULTI: usize = 100;

/// Children of [`WIDE`].
pub const WIDE_CHILDREN: u64 = 100_000;

/// A znode with many children.
pub const WIDE: &str = "/wide";

/// Read at once from a connection; all answers in flight fit.
const READ_BYTES: usize = 64 * 1024;

/// Before the first request: those that come and go begin with an xid that 4 divides.
const FIRST_XID: i32 = 3;

/// What is asked over and over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Each connection reads its own znode.
    Get,
    /// Each connection writes its own znode.
    Set,
    /// Each request creates another znode, a thousand under each parent.
    Create,
    /// Each request creates another [`Load::leaf_of`] the parts of a tree.
    Forest,
    /// Each request creates another child of [`WIDE`].
    Widen,
    /// All connections list the children of [`WIDE`].
    Children,
    /// Each connection changes the children of [`WIDE`] and lists them, in turn: twice as many requests as lists.
    ChangeAndList,
    /// Each connection writes [`MULTI`] znodes of its own in one transaction.
    Multi,
    /// Each connection creates an ephemeral znode and deletes it, over and over.
    Ephemeral,
}

impl Kind {
    /// How many connections, and how many requests in flight on each.
    const fn depth(self) -> (usize, usize) {
        match self {
            Self::Children | Self::ChangeAndList => (4, 1),
            Self::Multi => (16, 2),
            _ => (16, 16),
        }
    }

    /// An answer that is shorter does not say what was asked for.
    const fn answer_bytes(self) -> usize {
        match self {
            Self::Children => WIDE_CHILDREN as usize * 15,
            Self::Multi => MULTI * 70,
            _ => 16,
        }
    }
}

/// Until when new requests are sent; those in flight are always awaited.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// For so long.
    Elapsed(Duration),
    /// So many in all.
    Sent(u64),
}

/// Connections that stay open between runs.
#[derive(Debug)]
pub struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    kind: Kind,
    /// Requests ever sent; names the next znode to create.
    sent: u64,
    answered: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    path: String,
    /// What a multi writes.
    below: Vec<String>,
    xid_sent: i32,
    xid_answered: i32,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Load {
    /// Opens the connections, spread over `servers`, and makes the znodes that they use.
    pub fn open(servers: &[SocketAddr], kind: Kind) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        let (count, _) = kind.depth();
        for n in 0..count {
            let mut session = Session::open(servers[n % servers.len()])?;
            let path = format!("/bench-{n:02}");
            session.ensure(&path)?;
            let below: Vec<String> = match kind {
                Kind::Multi => (0..MULTI).map(|m| format!("{path}/{m:02}")).collect(),
                _ => Vec::new(),
            };
            below.iter().try_for_each(|path| session.ensure(path))?;
            let stream = session.into_stream();
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(n), Interest::READABLE | Interest::WRITABLE)?;
            let (input, output) = (Vec::new(), Vec::new());
            connections.push(Connection {
                stream,
                path,
                below,
                xid_sent: FIRST_XID,
                xid_answered: FIRST_XID,
                input,
                output,
            });
        }
        Ok(Self { poll, events: Events::with_capacity(count), connections, kind, sent: 0, answered: 0 })
    }

    /// The parent of the `n`th created znode.
    #[must_use]
    pub fn parent_of(n: u64) -> String {
        format!("/tree-{:04}", n / 1000)
    }

    /// The `n`th created znode.
    #[must_use]
    pub fn node_of(n: u64) -> String {
        format!("{}/node-{n:06}", Self::parent_of(n))
    }

    /// The `n`th part of a tree with a thousand parts.
    #[must_use]
    pub fn part_of(n: u64) -> String {
        format!("/top/part-{:03}", n % 1000)
    }

    /// The `n`th leaf of that tree; one after the other, they go round its parts.
    #[must_use]
    pub fn leaf_of(n: u64) -> String {
        format!("{}/leaf-{n:06}", Self::part_of(n))
    }

    /// Sends until the end and awaits all answers; how many there were.
    pub fn run(&mut self, setting: &Setting, until: Until) -> io::Result<u64> {
        let (began, first) = (Instant::now(), self.answered);
        let mut sending = true;
        for n in 0..self.connections.len() {
            self.refill(n)?;
        }
        while sending || self.answered < self.sent {
            setting.go_on()?;
            self.poll.poll(&mut self.events, Some(Duration::from_secs(1)))?;
            sending = match until {
                Until::Elapsed(limit) => began.elapsed() < limit,
                Until::Sent(limit) => self.sent < limit,
            };
            let ready: Vec<usize> = self.events.iter().map(|e| e.token().0).collect();
            for n in ready {
                self.answered += self.connections[n].read(self.kind.answer_bytes())?;
                if sending {
                    self.refill(n)?;
                }
                self.connections[n].write()?;
            }
        }
        Ok(self.answered - first)
    }

    /// As many requests as may be in flight.
    fn refill(&mut self, n: usize) -> io::Result<()> {
        let (_, depth) = self.kind.depth();
        let connection = &mut self.connections[n];
        let in_flight = usize::try_from(connection.xid_sent - connection.xid_answered).unwrap_or(0);
        for _ in in_flight..depth {
            connection.xid_sent += 1;
            let created;
            let request = match self.kind {
                Kind::Get => Request::Get(&connection.path),
                Kind::Set => Request::Set(&connection.path, &VALUE),
                Kind::Create => {
                    created = Self::node_of(self.sent);
                    Request::Create(&created, &VALUE)
                }
                Kind::Forest => {
                    created = Self::leaf_of(self.sent);
                    Request::Create(&created, &VALUE)
                }
                Kind::Widen => {
                    created = format!("{WIDE}/node-{:06}", self.sent);
                    Request::Create(&created, &VALUE)
                }
                Kind::Children => Request::Children(WIDE),
                Kind::ChangeAndList if connection.xid_sent % 2 == 1 => Request::Children(WIDE),
                Kind::ChangeAndList => {
                    created = format!("{WIDE}/changed-{n}-{:06}", connection.xid_sent / 4);
                    if connection.xid_sent % 4 == 0 {
                        Request::CreateEphemeral(&created, &VALUE)
                    } else {
                        Request::Delete(&created)
                    }
                }
                Kind::Multi => Request::MultiSet(&connection.below, &VALUE),
                Kind::Ephemeral => {
                    created = format!("{}/session-{n}-{:06}", connection.path, connection.xid_sent / 2);
                    if connection.xid_sent % 2 == 0 {
                        Request::CreateEphemeral(&created, &VALUE)
                    } else {
                        Request::Delete(&created)
                    }
                }
            };
            request.encode(connection.xid_sent, &mut connection.output);
            self.sent += 1;
        }
        connection.write()
    }
}

impl Connection {
    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what is there; how many answers, of so many bytes at `least`, were complete.
    fn read(&mut self, least: usize) -> io::Result<u64> {
        let mut answers = 0;
        loop {
            let start = self.input.len();
            self.input.resize(start + READ_BYTES, 0);
            let outcome = self.stream.read(&mut self.input[start..]);
            self.input.truncate(start + outcome.as_ref().map_or(0, |n| *n));
            match outcome {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(n) => {
                    answers += self.take_answers(least)?;
                    if n < READ_BYTES {
                        return Ok(answers);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(e) => return Err(e),
            }
        }
    }

    fn take_answers(&mut self, least: usize) -> io::Result<u64> {
        let (mut at, mut answers) = (0, 0);
        while let Some(prefix) = self.input.get(at..at + 4) {
            let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
            let Some(body) = self.input.get(at + 4..at + 4 + length) else { break };
            self.xid_answered += 1;
            ReplyHeader::of(body)?.expect(self.xid_answered)?;
            if length < least {
                return Err(io::Error::other(format!("an answer of {length} bytes where {least} were expected")));
            }
            at += 4 + length;
            answers += 1;
        }
        self.input.drain(..at);
        Ok(answers)
    }
}
