//! Thousands of connections from one thread.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Setting;
use super::request::{ReplyHeader, Request, expect_session, hello};

/// Connections that were made and got no session yet, at most: as many as wait at both servers' ports.
pub const BACKLOG: usize = 1024;

/// Readiness taken at once.
const EVENTS: usize = 4096;

/// Read at once from a connection.
const READ_BYTES: usize = 64 * 1024;

/// A server that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came from a server.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A frame, without its length.
    Frame(&'a [u8]),
    /// The end of the connection.
    End,
}

/// Many connections to one server.
#[derive(Debug)]
pub struct Crowd {
    poll: Poll,
    events: Events,
    server: SocketAddr,
    members: Vec<Member>,
    buffer: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug, Default)]
struct Member {
    /// `None` once it has ended.
    stream: Option<TcpStream>,
    /// The beginning of a frame.
    input: Vec<u8>,
    xid: i32,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(server: SocketAddr) -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(EVENTS));
        let (members, buffer, output) = (Vec::new(), vec![0; READ_BYTES], Vec::new());
        Ok(Self { poll, events, server, members, buffer, output })
    }

    /// `count` sessions.
    pub fn gather(setting: &Setting, server: SocketAddr, count: usize) -> io::Result<Self> {
        let mut crowd = Self::new(server)?;
        let mut open = 0;
        while open < count {
            while crowd.len() < count && crowd.len() - open < BACKLOG {
                let n = crowd.len();
                crowd.connect(n)?;
            }
            crowd.turn(setting, |_, news, _| {
                open += 1;
                match news {
                    News::Frame(body) => expect_session(body),
                    News::End => Err(io::Error::other("the server closed a connection instead of giving a session")),
                }
            })?;
        }
        Ok(crowd)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Connects the `n`th member, the next one or one that has ended, and asks for a session.
    pub fn connect(&mut self, n: usize) -> io::Result<()> {
        if n == self.members.len() {
            self.members.push(Member::default());
        }
        // Loopback: the kernel connects at once, as long as the server's backlog has room.
        let stream = std::net::TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(n), Interest::READABLE)?;
        self.output.clear();
        hello(&mut self.output);
        stream.write_all(&self.output)?;
        self.members[n] = Member { stream: Some(stream), input: Vec::new(), xid: 0 };
        Ok(())
    }

    /// Every member asks and is answered; `request` is told who.
    pub fn ask(&mut self, setting: &Setting, request: impl Fn(usize) -> String, make: Make) -> io::Result<()> {
        let (mut sent, mut answered) = (0, 0);
        while answered < self.len() {
            while sent < self.len() && sent - answered < BACKLOG {
                let path = request(sent);
                self.send(sent, make(&path))?;
                sent += 1;
            }
            self.turn(setting, |_, news, _| {
                answered += 1;
                match news {
                    News::Frame(body) if ReplyHeader::of(body)?.err == 0 => Ok(()),
                    other => Err(io::Error::other(format!("a request was answered with {other:?}"))),
                }
            })?;
        }
        Ok(())
    }

    /// All sessions are closed as a client that leaves does, and the connections have ended.
    pub fn leave(mut self, setting: &Setting) -> io::Result<()> {
        let (mut sent, mut ended) = (0, 0);
        while ended < self.len() {
            while sent < self.len() && sent - ended < BACKLOG {
                self.send(sent, Request::CloseSession)?;
                sent += 1;
            }
            self.turn(setting, |_, news, _| {
                ended += usize::from(matches!(news, News::End));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One request of the `n`th member. Requests are short: a socket that does not take one is an error.
    pub fn send(&mut self, n: usize, request: Request<'_>) -> io::Result<()> {
        let member = &mut self.members[n];
        let Some(stream) = &mut member.stream else { return Err(io::Error::other("a connection has ended")) };
        member.xid += 1;
        self.output.clear();
        request.encode(member.xid, &mut self.output);
        stream.write_all(&self.output)
    }

    /// Waits for news of anybody and hands all of it over: who, what, and a buffer for the bytes to send in return.
    pub fn turn(
        &mut self,
        setting: &Setting,
        mut on: impl FnMut(usize, News<'_>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        setting.go_on()?;
        match self.poll.poll(&mut self.events, Some(PATIENCE)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        if self.events.is_empty() {
            return Err(io::Error::other("the server is silent"));
        }
        for event in &self.events {
            let n = event.token().0;
            let member = &mut self.members[n];
            self.output.clear();
            member.read(&mut self.buffer, |news| on(n, news, &mut self.output))?;
            if let (Some(stream), false) = (&mut member.stream, self.output.is_empty()) {
                stream.write_all(&self.output)?;
            }
        }
        Ok(())
    }
}

/// Makes a request of a path.
pub type Make = for<'a> fn(&'a str) -> Request<'a>;

impl Member {
    /// Reads what is there.
    fn read(&mut self, buffer: &mut [u8], mut on: impl FnMut(News<'_>) -> io::Result<()>) -> io::Result<()> {
        while let Some(stream) = &mut self.stream {
            match stream.read(buffer) {
                Ok(0) => {
                    self.stream = None;
                    on(News::End)?;
                }
                Ok(n) => {
                    self.take(&buffer[..n], &mut on)?;
                    if n < buffer.len() {
                        // Readiness of an end that comes with the bytes is not reported again.
                        continue;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Cuts frames; a frame that came whole is not copied.
    fn take(&mut self, bytes: &[u8], on: &mut impl FnMut(News<'_>) -> io::Result<()>) -> io::Result<()> {
        let kept = !self.input.is_empty();
        if kept {
            self.input.extend_from_slice(bytes);
        }
        let all = if kept { std::mem::take(&mut self.input) } else { Vec::new() };
        let mut rest = if kept { &all[..] } else { bytes };
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let Some((body, behind)) = behind.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
            on(News::Frame(body))?;
            rest = behind;
        }
        self.input = rest.to_vec();
        Ok(())
    }
}
