//! A client that does no more than a load generator needs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::request::{ReplyHeader, Request, expect_session, hello};

/// Longest answer that is believed.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// How long an answer may take, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one of several attempts may take: a hello that reaches Java 3.8 while it starts may never be answered.
const ATTEMPT: Duration = Duration::from_millis(250);

/// A session on a blocking connection.
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    xid: i32,
    buffer: Vec<u8>,
}

impl Session {
    /// Opens a session.
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        Self::open_within(server, PATIENCE)
    }

    /// Opens a session; each step of it, and each later answer, may take `patience`.
    pub fn open_within(server: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        let mut session = Self { stream, xid: 0, buffer: Vec::new() };
        hello(&mut session.buffer);
        session.stream.write_all(&session.buffer)?;
        session.read_frame()?;
        expect_session(&session.buffer)?;
        Ok(session)
    }

    /// Opens a session as soon as the server lets it.
    pub fn open_eventually(server: SocketAddr, mut go_on: impl FnMut() -> io::Result<()>) -> io::Result<Self> {
        let began = Instant::now();
        loop {
            go_on()?;
            match Self::open_within(server, ATTEMPT) {
                Ok(session) => {
                    session.stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(session);
                }
                Err(e) if began.elapsed() > PATIENCE => return Err(e),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// One request, one answer.
    pub fn call(&mut self, request: Request<'_>) -> io::Result<()> {
        self.send(request)?;
        self.receive()
    }

    /// Creates a znode unless it is there.
    pub fn ensure(&mut self, path: &str) -> io::Result<()> {
        const NODE_EXISTS: i32 = -110;
        let header = self.exchange(Request::Create(path, &super::VALUE))?;
        if header.err == NODE_EXISTS { Ok(()) } else { header.expect(self.xid) }
    }

    fn exchange(&mut self, request: Request<'_>) -> io::Result<ReplyHeader> {
        self.send(request)?;
        self.read_frame()?;
        ReplyHeader::of(&self.buffer)
    }

    /// Asks without waiting for the answer.
    pub fn send(&mut self, request: Request<'_>) -> io::Result<()> {
        self.xid += 1;
        self.buffer.clear();
        request.encode(self.xid, &mut self.buffer);
        self.stream.write_all(&self.buffer)
    }

    /// Waits for the answer to the only request that has none yet.
    pub fn receive(&mut self) -> io::Result<()> {
        self.read_frame()?;
        ReplyHeader::of(&self.buffer)?.expect(self.xid)
    }

    /// The body of the next frame into the buffer.
    fn read_frame(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other(format!("a reply of {length} bytes")));
        }
        self.buffer.resize(length, 0);
        self.stream.read_exact(&mut self.buffer)
    }

    /// Ends the session and waits for the end of the connection.
    pub fn close(mut self) -> io::Result<()> {
        self.call(Request::CloseSession)?;
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(())
    }

    /// The connection, for a caller that goes on by itself.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}
