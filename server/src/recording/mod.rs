//! Production replay: everything that a server's core is told, in a bounded file, so that the same core can be stepped through it
//! again (`quorate serve --record`, `quorate sim replay`).
//!
//! The core is a pure function of its configuration (its seed among it), its clocks and its inputs; these are recorded in the
//! order in which the driver handed them over, and a digest of what the core answered. Replaying compares.

pub mod codec;
pub mod digest;
pub mod format;
pub mod lane;
pub mod read;
pub mod replay;
mod writer;

use std::io;
use std::path::PathBuf;

use quorate_core::config::PeerConfig;
use quorate_core::event::{Input, Outbox};
use quorate_core::ids::{Millis, Now};
use quorate_core::peer::Peer;
use quorate_net::Machine;

use crate::version;
use digest::Digest;
use format::{Begins, Call, Header, put_call};
use writer::{Frame, Writer};

pub use format::MAGIC;
pub use writer::beside;

/// A frame is full at this size.
const FRAME: usize = 128 << 10;
/// A frame that is not full is written after this, so that little is lost with the process.
const LATEST_MS: Millis = 1000;

/// Bound of a recording where none is said, MiB.
pub const DEFAULT_MIB: i64 = 64;

/// Where a server records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordTo {
    /// Its beginning; `FILE.1` and `FILE.2` follow.
    pub file: PathBuf,
    /// Bytes of all three.
    pub size: u64,
}

/// Digest of the running binary's file: what it does, in one number. 0: it cannot be read.
#[must_use]
pub fn build() -> u64 {
    let bytes = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    if bytes.is_empty() {
        return 0;
    }
    let mut digest = Digest::new();
    digest.bytes(&bytes);
    digest.value()
}

/// Writes down steps.
#[derive(Debug)]
struct Recorder {
    writer: Writer,
    body: Vec<u8>,
    digest: Digest,
    last: Now,
    /// Steps and clocks at the beginning of the frame.
    frame_began: (u64, Now),
    steps: u64,
    over: bool,
}

impl Recorder {
    fn before(&mut self, now: Now, call: &Call<'_>) {
        put_call(&mut self.body, now, call, &mut self.last);
    }

    fn after(&mut self, out: &Outbox) {
        self.steps += 1;
        if out.actions().is_empty() {
            self.body.push(0);
        } else {
            self.digest.actions(out);
            self.body.push(1);
            self.body.extend_from_slice(&self.digest.short());
        }
        if self.body.len() >= FRAME || self.last.mono_ms - self.frame_began.1.mono_ms >= LATEST_MS {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.body.is_empty() || self.over {
            return;
        }
        let (steps_before, last) = self.frame_began;
        let body = std::mem::take(&mut self.body);
        match self.writer.send(Frame { body, steps_before, last }) {
            Some(empty) => self.body = empty,
            None => self.over = true,
        }
        self.frame_began = (self.steps, self.last);
    }
}

impl Drop for Recorder {
    /// Also while a panic passes: the step that it ended is the last one.
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// A Peer, and what writes down what it is told.
#[derive(Debug)]
pub struct Recorded {
    /// The server.
    pub peer: Peer,
    recorder: Option<Recorder>,
}

impl Recorded {
    /// Makes a Peer, and its recording if one is asked for.
    pub fn new(config: PeerConfig, now: Now, to: Option<&RecordTo>) -> io::Result<Self> {
        let recorder = match to {
            None => None,
            Some(to) => Some(Self::recorder(&config, now, to)?),
        };
        Ok(Self { peer: Peer::new(config, now), recorder })
    }

    fn recorder(config: &PeerConfig, now: Now, to: &RecordTo) -> io::Result<Recorder> {
        let header = Header {
            version: version::QUORATE.into(),
            build: build(),
            begins: Begins::Start,
            steps_before: 0,
            now,
            config: config.clone(),
        };
        let writer = Writer::start(&to.file, to.size, header).map_err(|e| {
            io::Error::new(e.kind(), format!("the recording cannot be written: {e}; another file: --record FILE"))
        })?;
        let (body, digest) = (Vec::with_capacity(FRAME + FRAME / 8), Digest::new());
        Ok(Recorder { writer, body, digest, last: now, frame_began: (0, now), steps: 0, over: false })
    }

    fn noted(&mut self, now: Now, call: Call<'_>, out: &mut Outbox) {
        match self.recorder.as_mut().filter(|r| !r.over) {
            None => perform(&mut self.peer, now, call, out),
            Some(recorder) => {
                recorder.before(now, &call);
                perform(&mut self.peer, now, call, out);
                recorder.after(out);
            }
        }
    }
}

/// What a driver does with a Peer.
fn perform(peer: &mut Peer, now: Now, call: Call<'_>, out: &mut Outbox) {
    match call {
        Call::Start => peer.start(now, out),
        Call::Flush => peer.flush(now, out),
        Call::Input(input) => peer.gather(now, input, out),
    }
}

impl Machine for Recorded {
    fn start(&mut self, now: Now, out: &mut Outbox) {
        self.noted(now, Call::Start, out);
    }
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        self.noted(now, Call::Input(input), out);
    }
    fn batch_end(&mut self, now: Now, out: &mut Outbox) {
        self.noted(now, Call::Flush, out);
    }
    fn next_deadline(&self) -> Option<Millis> {
        self.peer.next_deadline()
    }
}
