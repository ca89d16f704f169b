//! The files of a recording: written by a thread of their own, bounded, readable by their owner only.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use tracing::{error, warn};

use super::format::{Begins, Header, frame_head};

/// Frames that may wait for the disk.
const QUEUE: usize = 64;

/// One frame and what precedes it.
pub(super) struct Frame {
    pub(super) body: Vec<u8>,
    /// Steps before its first one.
    pub(super) steps_before: u64,
    /// Clocks of the step before it, from which a part that begins with it counts.
    pub(super) last: quorate_core::ids::Now,
}

/// The loop's end of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: Option<SyncSender<Frame>>,
    back: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

/// `FILE.1` and so on.
#[must_use]
pub fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    PathBuf::from(name)
}

fn create(file: &Path) -> io::Result<File> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", file.display()));
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(named(e)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(named)
}

impl Writer {
    /// Sets an earlier recording aside and begins a new one of at most `size` bytes: half for the beginning, a quarter for each of
    /// two parts that follow by turns.
    pub(super) fn start(file: &Path, size: u64, header: Header) -> io::Result<Self> {
        // What a process that ended badly has recorded is what somebody wants to see.
        for suffix in ["", ".1", ".2"] {
            let earlier = beside(file, suffix);
            if earlier.exists() {
                fs::rename(&earlier, beside(&earlier, ".old"))?;
            }
        }
        let mut out = create(file)?;
        let head = header.encode();
        out.write_all(&head)?;
        let (sender, frames) = sync_channel::<Frame>(QUEUE);
        let (give_back, back) = sync_channel(QUEUE);
        let mut files = Files { file: file.to_owned(), size, header, out, written: head.len() as u64, part: 0 };
        let work = move || {
            for frame in frames {
                if let Err(e) = files.write(&frame) {
                    error!("the recording {} ends here: {e}", files.file.display());
                    return;
                }
                let mut body = frame.body;
                body.clear();
                let _ = give_back.try_send(body);
            }
        };
        let thread = thread::Builder::new().name("recorder".into()).spawn(work)?;
        Ok(Self { sender: Some(sender), back, thread: Some(thread) })
    }

    /// Hands a frame over; an empty buffer for the next one comes back. `None`: nothing is recorded any more.
    pub(super) fn send(&mut self, frame: Frame) -> Option<Vec<u8>> {
        let sent = self.sender.as_ref()?.try_send(frame);
        if let Err(e) = sent {
            if let TrySendError::Full(_) = e {
                // A hole would make everything behind it worthless, and a server does not wait for its recording.
                warn!("the recording ends here: its disk is too slow");
            }
            self.sender = None;
            return None;
        }
        Some(self.back.try_recv().unwrap_or_default())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's end.
struct Files {
    file: PathBuf,
    size: u64,
    header: Header,
    out: File,
    written: u64,
    /// 0: the beginning; then 1, 2, 1, 2, …
    part: u64,
}

impl Files {
    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let room = if self.part == 0 { self.size / 2 } else { self.size / 4 };
        if self.written + frame.body.len() as u64 > room {
            self.part += 1;
            let suffix = if self.part % 2 == 1 { ".1" } else { ".2" };
            self.out = create(&beside(&self.file, suffix))?;
            let header = Header {
                begins: Begins::Middle,
                steps_before: frame.steps_before,
                now: frame.last,
                ..self.header.clone()
            };
            let head = header.encode();
            self.out.write_all(&head)?;
            self.written = head.len() as u64;
        }
        self.out.write_all(&frame_head(&frame.body))?;
        self.out.write_all(&frame.body)?;
        self.written += (frame.body.len() + super::format::FRAME_HEAD) as u64;
        Ok(())
    }
}
