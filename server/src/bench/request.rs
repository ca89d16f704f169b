//! Requests and reply headers, as bytes.

use std::io;

/// Asked for, and allowed by the configuration: a side waits without pings while the other one is measured.
pub const SESSION_TIMEOUT_MS: i32 = 600_000;

/// One request.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// A persistent znode, open to all.
    Create(&'a str, &'a [u8]),
    /// The same, gone with its session.
    CreateEphemeral(&'a str, &'a [u8]),
    /// Any version.
    Delete(&'a str),
    /// `getData`, without a watch.
    Get(&'a str),
    /// `getData`, leaving a one-shot watch.
    GetWatched(&'a str),
    /// `getChildren`, without a watch.
    Children(&'a str),
    /// `setData`, any version.
    Set(&'a str, &'a [u8]),
    /// `multi` of one `setData` for each path, all with this value.
    MultiSet(&'a [String], &'a [u8]),
    /// `addWatch`: persistent, or recursive too.
    AddWatch(&'a str, bool),
    /// `setWatches2` as of a client that has seen everything: one-shot data watches at the first, persistent ones at the second.
    SetWatches(&'a [String], &'a [String]),
    /// Ends the session.
    CloseSession,
}

impl Request<'_> {
    /// Appends the frame.
    pub fn encode(&self, xid: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        int(xid, out);
        match *self {
            Request::Create(path, value) => create(path, value, 0, out),
            Request::CreateEphemeral(path, value) => create(path, value, 1, out),
            Request::Delete(path) => {
                int(2, out);
                bytes(path.as_bytes(), out);
                int(-1, out);
            }
            Request::Get(path) | Request::GetWatched(path) => {
                int(4, out);
                bytes(path.as_bytes(), out);
                out.push(u8::from(matches!(self, Request::GetWatched(_))));
            }
            Request::Children(path) => {
                int(8, out);
                bytes(path.as_bytes(), out);
                out.push(0);
            }
            Request::Set(path, value) => {
                int(5, out);
                set(path, value, out);
            }
            Request::MultiSet(paths, value) => {
                int(14, out);
                for path in paths {
                    int(5, out);
                    out.push(0);
                    int(-1, out);
                    set(path, value, out);
                }
                int(-1, out);
                out.push(1);
                int(-1, out);
            }
            Request::AddWatch(path, recursive) => {
                int(106, out);
                bytes(path.as_bytes(), out);
                int(i32::from(recursive), out);
            }
            Request::SetWatches(data, persistent) => {
                int(105, out);
                out.extend_from_slice(&i64::MAX.to_be_bytes());
                for paths in [data, &[], &[], persistent, &[]] {
                    int(count(paths.len()), out);
                    paths.iter().for_each(|path| bytes(path.as_bytes(), out));
                }
            }
            Request::CloseSession => int(-11, out),
        }
        end_frame(start, out);
    }
}

fn create(path: &str, value: &[u8], flags: i32, out: &mut Vec<u8>) {
    int(1, out);
    bytes(path.as_bytes(), out);
    bytes(value, out);
    // One ACL entry: everything, for world:anyone.
    int(1, out);
    int(31, out);
    bytes(b"world", out);
    bytes(b"anyone", out);
    int(flags, out);
}

fn set(path: &str, value: &[u8], out: &mut Vec<u8>) {
    bytes(path.as_bytes(), out);
    bytes(value, out);
    int(-1, out);
}

/// Appends the first frame of a connection: a new session is wanted.
pub fn hello(out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    int(0, out);
    out.extend_from_slice(&[0; 8]);
    int(SESSION_TIMEOUT_MS, out);
    out.extend_from_slice(&[0; 8]);
    bytes(&[0; 16], out);
    out.push(0);
    end_frame(start, out);
}

/// An error unless this is the body of an answer to [`hello`] that grants a session.
pub fn expect_session(body: &[u8]) -> io::Result<()> {
    let timeout = body.get(4..8).map_or(0, |b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if timeout > 0 { Ok(()) } else { Err(io::Error::other("the server refused a new session")) }
}

fn int(value: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn count(n: usize) -> i32 {
    i32::try_from(n).expect("paths and values of a benchmark are short")
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    int(count(value.len()), out);
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
    /// In a frame that is no reply but a watch event.
    pub const EVENT: i32 = -1;

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
