//! The bytes of a recording: a header, then frames (length, CRC-32), each of whole steps.
//!
//! A step is what the core was told (tag, clocks, content) and behind it what it answered: 0 for nothing, or 1 and four bytes of
//! the digest of all actions so far. The answer is missing where the process ended within the step.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use quorate_core::config::PeerConfig;
use quorate_core::error::DiskError;
use quorate_core::event::{AdminCommand, DiskReply, Input, LinkEvent, Port};
use quorate_core::ids::{LinkId, Now, Ticket};

use super::codec::{Reader, Stored, put_bytes, put_number, put_signed};

/// How every recording begins.
pub const MAGIC: &[u8; 16] = b"QUORATE-RECORD\n\x01";
/// Bytes in front of a frame: length and CRC-32, little endian.
pub const FRAME_HEAD: usize = 8;
/// In place of a frame's head: no more frames, whatever follows is older.
pub const END: [u8; FRAME_HEAD] = [0; FRAME_HEAD];

/// Where a recording begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begins {
    /// With the process: it can be stepped.
    Start,
    /// In the middle of its life: it can be read.
    Middle,
}

/// What stands in front of the steps.
#[derive(Clone, Debug)]
pub struct Header {
    /// Of the binary.
    pub version: String,
    /// Digest of the binary's file.
    pub build: u64,
    /// Where it begins.
    pub begins: Begins,
    /// Steps before the first one here.
    pub steps_before: u64,
    /// With what the Peer was made.
    pub now: Now,
    /// With what the Peer was made.
    pub config: PeerConfig,
}

impl Header {
    /// The header as a file begins with it, magic included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.version.put(&mut body);
        self.build.put(&mut body);
        (self.begins == Begins::Start).put(&mut body);
        self.steps_before.put(&mut body);
        self.now.put(&mut body);
        self.config.put(&mut body);
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&frame_head(&body));
        out.append(&mut body);
        out
    }

    /// Out of the header's frame.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let r = &mut Reader(body);
        let header = Self {
            version: Stored::get(r)?,
            build: Stored::get(r)?,
            begins: if Stored::get(r)? { Begins::Start } else { Begins::Middle },
            steps_before: Stored::get(r)?,
            now: Stored::get(r)?,
            config: Stored::get(r)?,
        };
        r.0.is_empty().then_some(header)
    }
}

/// In front of this frame.
#[must_use]
pub fn frame_head(body: &[u8]) -> [u8; FRAME_HEAD] {
    let mut head = [0; FRAME_HEAD];
    head[..4].copy_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    head
}

/// One call of the driver.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// `Peer::start`.
    Start,
    /// `Peer::flush`.
    Flush,
    /// `Peer::gather`.
    Input(Input<'a>),
}

/// The instant of the step before: clocks are written as differences.
pub type Last = Now;

/// Appends the clocks of a step behind its tag.
fn put_now(out: &mut Vec<u8>, now: Now, last: &mut Last) {
    put_signed(out, now.mono_ms - last.mono_ms);
    put_signed(out, (now.wall_ms - now.mono_ms) - (last.wall_ms - last.mono_ms));
    *last = now;
}

/// Appends a call.
pub fn put_call(out: &mut Vec<u8>, now: Now, call: &Call<'_>, last: &mut Last) {
    out.push(match call {
        Call::Start => 1,
        Call::Flush => 2,
        Call::Input(Input::Tick) => 3,
        Call::Input(Input::Link { event, .. }) => match event {
            LinkEvent::Opened { .. } => 4,
            LinkEvent::Bytes(_) | LinkEvent::Messages { .. } => 5,
            LinkEvent::Closed => 6,
            LinkEvent::Drained(_) => 7,
        },
        Call::Input(Input::Disk { result, .. }) => match result {
            Ok(DiskReply::Done) => 8,
            Ok(DiskReply::Data(_)) => 9,
            Ok(DiskReply::Files(_)) => 10,
            Err(_) => 11,
        },
        Call::Input(Input::Admin(_)) => 12,
    });
    put_now(out, now, last);
    match call {
        Call::Start | Call::Flush | Call::Input(Input::Tick) => {}
        Call::Input(Input::Link { link, event }) => {
            out.extend_from_slice(&link.0.to_le_bytes());
            match event {
                LinkEvent::Opened { port, remote } => {
                    out.push(port_number(*port));
                    put_address(out, *remote);
                }
                LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => put_bytes(out, bytes),
                LinkEvent::Closed => {}
                LinkEvent::Drained(n) => put_number(out, *n as u64),
            }
        }
        Call::Input(Input::Disk { ticket, result }) => {
            put_number(out, ticket.0);
            match result {
                Ok(DiskReply::Done) => {}
                Ok(DiskReply::Data(bytes)) => put_bytes(out, bytes),
                Ok(DiskReply::Files(files)) => {
                    put_number(out, files.len() as u64);
                    for (name, length) in files {
                        put_bytes(out, name.as_bytes());
                        put_number(out, *length);
                    }
                }
                Err(DiskError::NotFound) => put_number(out, 0),
                Err(DiskError::Full) => put_number(out, 1),
                Err(DiskError::Io(what)) => {
                    put_number(out, 2);
                    put_bytes(out, what.as_bytes());
                }
            }
        }
        Call::Input(Input::Admin(command)) => out.push(match command {
            AdminCommand::Shutdown => 0,
            AdminCommand::Snapshot => 1,
            AdminCommand::ResetStats => 2,
            AdminCommand::ResetConnectionStats => 3,
        }),
    }
}

/// Reads a call.
pub fn get_call<'a>(r: &mut Reader<'a>, last: &mut Last) -> Option<(Now, Call<'a>)> {
    let tag = r.byte()?;
    let mono_ms = last.mono_ms.checked_add(r.signed()?)?;
    let offset = last.wall_ms.checked_sub(last.mono_ms)?.checked_add(r.signed()?)?;
    let now = Now { mono_ms, wall_ms: mono_ms.checked_add(offset)? };
    *last = now;
    let input = match tag {
        1 => return Some((now, Call::Start)),
        2 => return Some((now, Call::Flush)),
        3 => Input::Tick,
        4..=7 => {
            let link = LinkId(u64::from_le_bytes(r.take(8)?.try_into().ok()?));
            let event = match tag {
                4 => LinkEvent::Opened { port: port(r.byte()?)?, remote: get_address(r)? },
                5 => LinkEvent::Bytes(r.bytes()?),
                6 => LinkEvent::Closed,
                _ => LinkEvent::Drained(usize::try_from(r.number()?).ok()?),
            };
            Input::Link { link, event }
        }
        8..=11 => {
            let ticket = Ticket(r.number()?);
            let result = match tag {
                8 => Ok(DiskReply::Done),
                9 => Ok(DiskReply::Data(Bytes::copy_from_slice(r.bytes()?))),
                10 => {
                    let n = r.number().filter(|n| *n <= r.0.len() as u64)?;
                    let file = |r: &mut Reader<'_>| Some((r.text()?.to_owned(), r.number()?));
                    Ok(DiskReply::Files((0..n).map(|_| file(r)).collect::<Option<_>>()?))
                }
                _ => Err(match r.number()? {
                    0 => DiskError::NotFound,
                    1 => DiskError::Full,
                    2 => DiskError::Io(r.text()?.to_owned()),
                    _ => return None,
                }),
            };
            Input::Disk { ticket, result }
        }
        12 => Input::Admin(match r.byte()? {
            0 => AdminCommand::Shutdown,
            1 => AdminCommand::Snapshot,
            2 => AdminCommand::ResetStats,
            3 => AdminCommand::ResetConnectionStats,
            _ => return None,
        }),
        _ => return None,
    };
    Some((now, Call::Input(input)))
}

const fn port_number(port: Port) -> u8 {
    match port {
        Port::Client => 0,
        Port::Election => 1,
        Port::Quorum => 2,
    }
}

const fn port(number: u8) -> Option<Port> {
    Some(match number {
        0 => Port::Client,
        1 => Port::Election,
        2 => Port::Quorum,
        _ => return None,
    })
}

fn put_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => put_bytes(out, &ip.octets()),
        IpAddr::V6(ip) => put_bytes(out, &ip.octets()),
    }
    out.extend_from_slice(&address.port().to_le_bytes());
    // Scope and flow are of no use to the core, but they are what it was told.
    if let SocketAddr::V6(v6) = address {
        put_number(out, u64::from(v6.flowinfo()));
        put_number(out, u64::from(v6.scope_id()));
    }
}

fn get_address(r: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip = r.bytes()?;
    let port = u16::from_le_bytes(r.take(2)?.try_into().ok()?);
    if let Ok(v4) = <[u8; 4]>::try_from(ip) {
        return Some(SocketAddr::new(v4.into(), port));
    }
    let v6 = <[u8; 16]>::try_from(ip).ok()?;
    let (flow, scope) = (u32::get(r)?, u32::get(r)?);
    Some(std::net::SocketAddrV6::new(v6.into(), port, flow, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_back() {
        let disk = |result| Call::Input(Input::Disk { ticket: Ticket(300), result });
        let link = |event| Call::Input(Input::Link { link: LinkId(LinkId::ACCEPTED + 9), event });
        let calls = [
            Call::Start,
            Call::Flush,
            Call::Input(Input::Tick),
            link(LinkEvent::Opened { port: Port::Quorum, remote: "10.0.0.1:99".parse().unwrap() }),
            link(LinkEvent::Opened { port: Port::Client, remote: "[fe80::1%3]:2181".parse().unwrap() }),
            link(LinkEvent::Bytes(b"ruok")),
            link(LinkEvent::Drained(1 << 30)),
            link(LinkEvent::Closed),
            disk(Ok(DiskReply::Done)),
            disk(Ok(DiskReply::Data(Bytes::from_static(b"xyz")))),
            disk(Ok(DiskReply::Files(vec![("log.1".into(), 1 << 40), ("ü".into(), 0)]))),
            disk(Err(DiskError::Full)),
            disk(Err(DiskError::NotFound)),
            disk(Err(DiskError::Io("why".into()))),
            Call::Input(Input::Admin(AdminCommand::ResetConnectionStats)),
        ];
        let (mut out, mut last) = (Vec::new(), Now::default());
        let mut now = Now { mono_ms: 1000, wall_ms: 1_795_585_419_908 };
        let mut want = Vec::new();
        for call in &calls {
            now = Now { mono_ms: now.mono_ms + 3, wall_ms: now.wall_ms - 70 };
            put_call(&mut out, now, call, &mut last);
            want.push(format!("{:?}", (now, call)));
        }
        let (mut r, mut last) = (Reader(&out), Now::default());
        for want in want {
            assert_eq!(format!("{:?}", get_call(&mut r, &mut last).unwrap()), want);
        }
        assert!(r.0.is_empty());
        // Cut anywhere: an error, no panic.
        for end in 0..out.len() {
            let (mut r, mut last) = (Reader(&out[..end]), Now::default());
            while !r.0.is_empty() && get_call(&mut r, &mut last).is_some() {}
        }
    }

    #[test]
    fn headers_come_back() {
        let header = Header {
            version: "1".into(),
            build: u64::MAX,
            begins: Begins::Start,
            steps_before: 7,
            now: Now { mono_ms: 1000, wall_ms: -5 },
            config: PeerConfig { seed: 99, ..PeerConfig::default() },
        };
        let bytes = header.encode();
        let body = &bytes[MAGIC.len() + FRAME_HEAD..];
        assert_eq!(format!("{:?}", Header::decode(body).unwrap()), format!("{header:?}"));
        assert!(Header::decode(&body[..body.len() - 1]).is_none());
    }
}
