//! The files of a recording: written by a thread of their own, bounded, readable by their owner only.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use tracing::{error, warn};

use super::format::{Begins, END, Header, frame_head};

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
        let beginning = create(file)?;
        let head = header.encode();
        beginning.write_all_at(&head, 0)?;
        let (sender, frames) = sync_channel::<Frame>(QUEUE);
        let (give_back, back) = sync_channel(QUEUE);
        let at = head.len() as u64;
        let mut files = Files { file: file.to_owned(), size, header, beginning, parts: [None, None], at, part: 0 };
        let work = move || {
            for mut frame in frames {
                if let Err(e) = files.write(&mut frame) {
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
    beginning: File,
    /// `FILE.1` and `FILE.2`: written over from their beginning by turns, which costs less than new ones.
    parts: [Option<File>; 2],
    /// Where the next frame goes.
    at: u64,
    /// 0: the beginning; then 1, 2, 1, 2, …
    part: usize,
}

impl Files {
    fn write(&mut self, frame: &mut Frame) -> io::Result<()> {
        let room = if self.part == 0 { self.size / 2 } else { self.size / 4 };
        let mut head = Vec::new();
        if self.at + frame.body.len() as u64 > room {
            self.part = self.part % 2 + 1;
            let steps_before = frame.steps_before;
            head = Header { begins: Begins::Middle, steps_before, now: frame.last, ..self.header.clone() }.encode();
            self.at = 0;
        }
        let out = match self.part {
            0 => &self.beginning,
            part => match &mut self.parts[part - 1] {
                Some(file) => file,
                none => none.insert(create(&beside(&self.file, if part == 1 { ".1" } else { ".2" }))?),
            },
        };
        head.extend_from_slice(&frame_head(&frame.body));
        if self.part > 0 {
            // The next frame takes its place; until then nothing older follows.
            frame.body.extend_from_slice(&END);
        }
        out.write_all_at(&head, self.at)?;
        self.at += head.len() as u64;
        out.write_all_at(&frame.body, self.at)?;
        self.at += frame.body.len() as u64 - if self.part > 0 { END.len() as u64 } else { 0 };
        Ok(())
    }
}
