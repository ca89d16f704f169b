//! Writing a snapshot file under a temporary name: the own one, or one that a leader sends.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::files::data;
use crate::disk::io::{Io, Job};
use crate::event::{DiskOp, FileName, Lane};
use crate::ids::Zxid;
use crate::wire::snapshot::{FileEncoder, SEAL_LEN, TRAILERS_LEN};

/// A snapshot file on its way to the disk.
#[derive(Clone, Debug)]
pub(super) struct SnapWriter {
    /// Tells late completions of an earlier file.
    pub(super) id: u64,
    pub(super) zxid: Zxid,
    pub(super) tmp: FileName,
    encoder: Option<FileEncoder>,
    /// Length so far.
    pub(super) offset: u64,
    /// Bytes of the body on their way.
    pub(super) backlog: usize,
    /// Operations on their way.
    pub(super) pending: usize,
}

impl SnapWriter {
    /// Starts the file. `job` makes the job of an operation that writes so many bytes of body.
    pub(super) fn begin(id: u64, zxid: Zxid, tmp: &str, job: fn(u64, usize) -> Job, io: &mut Io<'_>) -> Self {
        let (encoder, header) = FileEncoder::new();
        let tmp = data(tmp);
        let header = Bytes::copy_from_slice(&header);
        let offset = header.len() as u64;
        io.op(Lane::Bulk, DiskOp::Create(tmp.clone()), job(id, 0));
        io.op(Lane::Bulk, DiskOp::WriteAt(tmp.clone(), 0, header), job(id, 0));
        Self { id, zxid, tmp, encoder: Some(encoder), offset, backlog: 0, pending: 2 }
    }

    pub(super) fn body(&mut self, bytes: Bytes, job: fn(u64, usize) -> Job, io: &mut Io<'_>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        self.encoder.as_mut().expect("the body comes before the end").body(&bytes);
        io.op(Lane::Bulk, DiskOp::WriteAt(self.tmp.clone(), self.offset, bytes), job(self.id, len));
        self.offset += len as u64;
        self.backlog += len;
        self.pending += 1;
    }

    /// Writes the trailers and syncs the file.
    pub(super) fn seal(&mut self, digest: Option<u64>, sync: bool, job: fn(u64, usize) -> Job, io: &mut Io<'_>) {
        let encoder = self.encoder.take().expect("a file is sealed once");
        let trailers = Bytes::from(encoder.finish(self.zxid, digest));
        let len = trailers.len() as u64;
        let mut ops: Vec<DiskOp> = vec![DiskOp::WriteAt(self.tmp.clone(), self.offset, trailers)];
        if sync {
            ops.push(DiskOp::Fsync(self.tmp.clone()));
        }
        self.offset += len;
        for op in ops {
            io.op(Lane::Bulk, op, job(self.id, 0));
            self.pending += 1;
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.encoder.is_none()
    }

    /// An operation ended well. Returns whether that was the last one.
    pub(super) fn ended(&mut self, bytes: usize) -> bool {
        self.backlog -= bytes;
        self.pending -= 1;
        self.pending == 0
    }

    /// Where the body ends in a sealed file.
    pub(super) fn body_end(&self) -> u64 {
        self.offset - TRAILERS_LEN as u64
    }

    /// Removes what was written.
    pub(super) fn abandon(&self, io: &mut Io<'_>) {
        io.op(Lane::Bulk, DiskOp::Unlink(self.tmp.clone()), Job::Nobody);
    }
}

/// The seal behind a body begins with this many bytes of checksum.
pub(super) const SEAL: u64 = SEAL_LEN as u64;
