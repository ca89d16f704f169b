//! Bytes under way, and the messages that are known to be in them.
//!
//! Whatever happens to a chunk happens to its bytes; a message that lost one, or may have, is forgotten and will be decoded.

use bytes::Bytes;
use quorate_core::message::Framed;

/// What a sender hands over at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) bytes: &'a [u8],
    /// The same, if they are shared.
    pub(crate) shared: Option<&'a Bytes>,
    /// Messages in it, which count their places from `from`.
    pub(crate) messages: &'a [Framed],
    pub(crate) from: usize,
}

impl<'a> Sent<'a> {
    /// Bytes of which nothing is known.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None, messages: &[], from: 0 }
    }
}

#[derive(Debug)]
enum Body {
    Own(Vec<u8>),
    Shared(Bytes),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Chunk {
    body: Body,
    messages: Vec<Framed>,
}

impl Chunk {
    pub(super) fn new(sent: &Sent<'_>, spare: &mut Spare) -> Self {
        let body = match sent.shared {
            Some(b) => Body::Shared(b.clone()),
            None => {
                let mut own = spare.bodies.pop().unwrap_or_default();
                own.extend_from_slice(sent.bytes);
                Body::Own(own)
            }
        };
        let mut chunk = Self { body, messages: Vec::new() };
        if !sent.messages.is_empty() {
            chunk.messages = spare.messages.pop().unwrap_or_default();
            chunk.add_messages(sent, 0);
        }
        chunk
    }

    fn add_messages(&mut self, sent: &Sent<'_>, at: usize) {
        self.messages.extend(sent.messages.iter().map(|m| m.moved(sent.from, at)));
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Own(v) => v,
            Body::Shared(b) => b,
        }
    }

    /// Its messages, by places in its bytes.
    pub(crate) fn messages(&self) -> &[Framed] {
        &self.messages
    }

    /// Whether bytes can be added without a copy of what is there.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.body, Body::Own(_))
    }

    /// More bytes behind.
    pub(super) fn append(&mut self, sent: &Sent<'_>) {
        let at = self.bytes().len();
        match &mut self.body {
            Body::Own(v) => v.extend_from_slice(sent.bytes),
            Body::Shared(b) => self.body = Body::Own([b, sent.bytes].concat()),
        }
        self.add_messages(sent, at);
    }

    /// Something else arrives than what was sent.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        self.body = Body::Own(bytes);
        self.messages.clear();
    }

    /// Only so many bytes are left.
    pub(super) fn truncate(&mut self, n: usize) {
        match &mut self.body {
            Body::Own(v) => v.truncate(n),
            Body::Shared(b) => b.truncate(n),
        }
        self.messages.retain(|m| m.end <= n);
    }

    /// Its first bytes, and the rest.
    pub(crate) fn split(&self, at: usize) -> (Self, Self) {
        let (first, rest) = self.bytes().split_at(at);
        let (early, late) = split_messages(&self.messages, at);
        let part = |bytes: &[u8], messages| Self { body: Body::Shared(Bytes::copy_from_slice(bytes)), messages };
        (part(first, early.to_vec()), part(rest, late.iter().map(|m| m.moved(at, 0)).collect()))
    }
}

/// The messages that end by this place, and those that begin there or later; one that lies on both sides is in neither.
fn split_messages(messages: &[Framed], at: usize) -> (&[Framed], &[Framed]) {
    let early = messages.partition_point(|m| m.end <= at);
    let late = messages.partition_point(|m| m.start < at);
    (&messages[..early], &messages[late..])
}

/// Memory of delivered chunks.
#[derive(Debug, Default)]
pub(super) struct Spare {
    bodies: Vec<Vec<u8>>,
    messages: Vec<Vec<Framed>>,
}

impl Spare {
    pub(super) fn keep(&mut self, chunk: Chunk) {
        let Chunk { body, mut messages } = chunk;
        if let Body::Own(mut v) = body
            && self.bodies.len() < 4096
            && v.capacity() <= 16 << 10
        {
            v.clear();
            self.bodies.push(v);
        }
        if (1..=256).contains(&messages.capacity()) && self.messages.len() < 4096 {
            messages.clear();
            self.messages.push(messages);
        }
    }
}
