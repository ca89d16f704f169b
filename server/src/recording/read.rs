//! Reading a recording, whole or not.

use super::codec::Reader;
use super::format::{Call, END, FRAME_HEAD, Header, Last, MAGIC, frame_head, get_call};
use quorate_core::ids::Now;

/// Why a recording is not whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It ends within a frame, at this byte: the process was killed, or the file was cut.
    Truncated(u64),
    /// The frame at this byte is not what was written.
    Corrupt(u64),
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated(at) => {
                write!(f, "it ends within the frame at byte {at}: the server was killed, or the file was cut")
            }
            Self::Corrupt(at) => write!(f, "the frame at byte {at} is damaged; what follows cannot be used"),
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// When.
    pub now: Now,
    /// What.
    pub call: Call<'a>,
    /// The digest afterwards; inner `None`: no action. Outer `None`: the process ended within this step.
    pub answer: Option<Option<[u8; 4]>>,
}

/// A recording in memory.
#[derive(Debug)]
pub struct Recording<'a> {
    /// Its header.
    pub header: Header,
    rest: &'a [u8],
    at: u64,
    frame: Reader<'a>,
    frame_at: u64,
    last: Last,
    /// Set at the end, where that is not a clean one.
    pub flaw: Option<Flaw>,
}

impl<'a> Recording<'a> {
    /// Opens one. `Err`: what is wrong with its beginning.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err("not a recording, or one of a format that this version does not read".into());
        };
        let header = Now::default();
        let mut this = Self {
            header: Header {
                version: String::new(),
                build: 0,
                begins: super::Begins::Start,
                steps_before: 0,
                now: header,
                config: quorate_core::config::PeerConfig::default(),
            },
            rest,
            at: MAGIC.len() as u64,
            frame: Reader(&[]),
            frame_at: 0,
            last: header,
            flaw: None,
        };
        let Some(body) = this.next_frame() else {
            let why = this.flaw.map_or_else(|| "nothing behind its first bytes".into(), |f| f.to_string());
            return Err(format!("the header cannot be read: {why}"));
        };
        this.header =
            Header::decode(body).ok_or("the header is of another version of quorate: replay with that one")?;
        this.last = this.header.now;
        Ok(this)
    }

    fn next_frame(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || self.rest.starts_with(&END) {
            return None;
        }
        let whole = self.rest.split_at_checked(FRAME_HEAD).and_then(|(head, rest)| {
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((head, body, rest))
        });
        let Some((head, body, rest)) = whole else {
            self.flaw = Some(Flaw::Truncated(self.at));
            return None;
        };
        if head != frame_head(body) {
            self.flaw = Some(Flaw::Corrupt(self.at));
            return None;
        }
        self.frame_at = self.at;
        self.at += (FRAME_HEAD + body.len()) as u64;
        self.rest = rest;
        Some(body)
    }

    /// The next step; afterwards [`Recording::flaw`] says how it ended.
    pub fn next_step(&mut self) -> Option<Step<'a>> {
        while self.frame.0.is_empty() {
            if self.flaw.is_some() {
                return None;
            }
            self.frame = Reader(self.next_frame()?);
        }
        let Some((now, call)) = get_call(&mut self.frame, &mut self.last) else {
            self.flaw = Some(Flaw::Corrupt(self.frame_at));
            return None;
        };
        let answer = match self.frame.byte() {
            None => None,
            Some(0) => Some(None),
            Some(_) => match self.frame.take(4).and_then(|b| b.try_into().ok()) {
                Some(short) => Some(Some(short)),
                None => {
                    self.flaw = Some(Flaw::Corrupt(self.frame_at));
                    return None;
                }
            },
        };
        Some(Step { now, call, answer })
    }
}
