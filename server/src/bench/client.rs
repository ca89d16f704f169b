//! A client that does no more than a load generator needs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Asked for; servers bound it to twenty ticks.
const SESSION_TIMEOUT_MS: i32 = 40_000;

/// Longest answer that is believed.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// How long an answer may take, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one of several attempts may take: a hello that reaches Java 3.8 while it starts may never be answered.
const ATTEMPT: Duration = Duration::from_millis(250);

/// One request.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// A persistent znode, open to all.
    Create(&'a str, &'a [u8]),
    /// `getData`, without a watch.
    Get(&'a str),
    /// `setData`, any version.
    Set(&'a str, &'a [u8]),
}

impl Request<'_> {
    /// Appends the frame.
    pub fn encode(&self, xid: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        int(xid, out);
        match *self {
            Request::Create(path, value) => {
                int(1, out);
                bytes(path.as_bytes(), out);
                bytes(value, out);
                // One ACL entry: everything, for world:anyone. No flags.
                int(1, out);
                int(31, out);
                bytes(b"world", out);
                bytes(b"anyone", out);
                int(0, out);
            }
            Request::Get(path) => {
                int(4, out);
                bytes(path.as_bytes(), out);
                out.push(0);
            }
            Request::Set(path, value) => {
                int(5, out);
                bytes(path.as_bytes(), out);
                bytes(value, out);
                int(-1, out);
            }
        }
        end_frame(start, out);
    }
}

fn int(value: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    int(i32::try_from(value.len()).expect("paths and values of a benchmark are short"), out);
    out.extend_from_slice(value);
}

fn end_frame(start: usize, out: &mut [u8]) {
    let length = u32::try_from(out.len() - start - 4).expect("a request of a benchmark is short");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// What the header of a reply says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    /// Of the request.
    pub xid: i32,
    /// 0 is success.
    pub err: i32,
}

impl ReplyHeader {
    /// Reads the header of a frame without its length prefix.
    pub fn of(body: &[u8]) -> io::Result<Self> {
        let int = |at: usize| Some(i32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let header = int(0).zip(int(12)).map(|(xid, err)| Self { xid, err });
        header.ok_or_else(|| io::Error::other("a reply that is too short"))
    }

    /// An error unless this is the successful answer to `xid`.
    pub fn expect(self, xid: i32) -> io::Result<()> {
        if self == (Self { xid, err: 0 }) {
            return Ok(());
        }
        Err(io::Error::other(format!("request {xid} was answered with {self:?}")))
    }
}

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
        let mut hello = vec![0; 4];
        int(0, &mut hello);
        hello.extend_from_slice(&[0; 8]);
        int(SESSION_TIMEOUT_MS, &mut hello);
        hello.extend_from_slice(&[0; 8]);
        bytes(&[0; 16], &mut hello);
        hello.push(0);
        end_frame(0, &mut hello);
        session.stream.write_all(&hello)?;
        session.read_frame()?;
        let timeout = session.buffer.get(4..8).map_or(0, |b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        if timeout <= 0 {
            return Err(io::Error::other("the server refused a new session"));
        }
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
        let header = self.exchange(request)?;
        header.expect(self.xid)
    }

    /// Creates a znode unless it is there.
    pub fn ensure(&mut self, path: &str) -> io::Result<()> {
        const NODE_EXISTS: i32 = -110;
        let header = self.exchange(Request::Create(path, &super::VALUE))?;
        if header.err == NODE_EXISTS { Ok(()) } else { header.expect(self.xid) }
    }

    fn exchange(&mut self, request: Request<'_>) -> io::Result<ReplyHeader> {
        self.xid += 1;
        self.buffer.clear();
        request.encode(self.xid, &mut self.buffer);
        self.stream.write_all(&self.buffer)?;
        self.read_frame()?;
        ReplyHeader::of(&self.buffer)
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

    /// The connection, for a caller that goes on by itself.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}
