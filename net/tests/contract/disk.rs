//! What only real files have: open descriptors, packed snapshots, words for errors. The contract that they share with simulated
//! ones is in `server/tests/contract`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::world::{dirs, temp_dir};
use bytes::Bytes;
use quorate_core::error::DiskError;
use quorate_core::event::{Dir, DiskOp, DiskReply, FileName};
use quorate_net::disk::Files;

struct Place {
    dir: PathBuf,
    files: Files,
}

impl Place {
    fn new() -> Self {
        let dir = temp_dir();
        let mut files = Files::new(dirs(&dir), Arc::default());
        for d in [Dir::Data, Dir::Log, Dir::Side, Dir::Base] {
            assert!(matches!(files.execute(&DiskOp::List(d)), Ok(DiskReply::Files(_))));
        }
        Self { dir, files }
    }
    fn done(&mut self, op: DiskOp) {
        assert_eq!(self.files.execute(&op), Ok(DiskReply::Done), "{op:?}");
    }
    fn read(&mut self, name: &FileName, at: u64, length: u64) -> Vec<u8> {
        match self.files.execute(&DiskOp::ReadRange(name.clone(), at, length)) {
            Ok(DiskReply::Data(bytes)) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }
    fn list(&mut self, dir: Dir) -> Vec<(String, u64)> {
        match self.files.execute(&DiskOp::List(dir)) {
            Ok(DiskReply::Files(mut files)) => {
                files.sort();
                files
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn name(name: &str) -> FileName {
    FileName::new(Dir::Log, name)
}

#[test]
fn errors_have_names() {
    let mut p = Place::new();
    fs::create_dir(p.dir.join("log/version-2/log.5")).unwrap();
    for op in [DiskOp::Create(name("log.5")), DiskOp::Unlink(name("log.5")), DiskOp::Create(name("../up"))] {
        let Err(DiskError::Io(text)) = p.files.execute(&op) else { panic!("{op:?}") };
        assert!(text.contains("log.5") || text.contains("../up"), "{text}");
    }
    assert!(p.list(Dir::Log).is_empty(), "a directory is no file");
}

#[test]
fn more_files_than_are_kept_open() {
    let mut p = Place::new();
    for i in 0..40_u8 {
        p.done(DiskOp::Create(name(&format!("log.{i}"))));
    }
    for i in 0..40_u8 {
        p.done(DiskOp::WriteAt(name(&format!("log.{i}")), 0, Bytes::copy_from_slice(&[i])));
    }
    for i in 0..40_u8 {
        assert_eq!(p.read(&name(&format!("log.{i}")), 0, 5), [i]);
    }
}

#[test]
fn compressed_snapshots_read_as_plain_ones() {
    let mut p = Place::new();
    let plain: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_be_bytes()).collect();
    let data = p.dir.join("version-2");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut snappy = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in plain.chunks(32 << 10) {
        let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
        snappy.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
        snappy.extend_from_slice(&packed);
    }
    fs::write(data.join("snapshot.1.gz"), &gzip).unwrap();
    fs::write(data.join("snapshot.2.snappy"), &snappy).unwrap();
    fs::write(data.join("snapshot.3.gz"), &gzip[..gzip.len() / 2]).unwrap();
    fs::write(data.join("snapshot.4.snappy"), &snappy[..snappy.len() / 2]).unwrap();
    assert_eq!(p.list(Dir::Data)[0], ("snapshot.1.gz".to_owned(), gzip.len() as u64));
    for file in ["snapshot.1.gz", "snapshot.2.snappy"] {
        let name = FileName::new(Dir::Data, file);
        let mut got = Vec::new();
        loop {
            let piece = p.read(&name, got.len() as u64, 100_001);
            got.extend_from_slice(&piece);
            if piece.len() < 100_001 {
                break;
            }
        }
        assert!(got == plain, "{file}");
        assert_eq!(p.read(&name, 8, 4), plain[8..12], "{file}: back to the beginning");
        assert_eq!(p.read(&name, 100_000, 4), plain[100_000..100_004], "{file}: with a gap");
    }
    for file in ["snapshot.3.gz", "snapshot.4.snappy"] {
        let cut = DiskOp::ReadRange(FileName::new(Dir::Data, file), 0, u64::MAX);
        let Err(DiskError::Io(text)) = p.files.execute(&cut) else { panic!("{file}") };
        assert!(text.contains(file), "{text}");
    }
}

#[test]
fn a_snapshot_that_gets_a_packed_name_is_packed() {
    let mut p = Place::new();
    let plain: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 7).to_be_bytes()).collect();
    for (file, magic) in
        [("snapshot.1f.gz", &b"\x1f\x8b"[..]), ("snapshot.20.snappy", &b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..])]
    {
        let (tmp, name) = (FileName::new(Dir::Data, "own-snapshot.tmp"), FileName::new(Dir::Data, file));
        for op in [
            DiskOp::Create(tmp.clone()),
            DiskOp::WriteAt(tmp.clone(), 0, plain.clone().into()),
            DiskOp::Fsync(tmp.clone()),
            DiskOp::Rename(tmp.clone(), name.clone()),
            DiskOp::FsyncDir(Dir::Data),
        ] {
            assert_eq!(p.files.execute(&op), Ok(DiskReply::Done), "{op:?}");
        }
        assert_eq!(p.list(Dir::Data).iter().filter(|(n, _)| n == file || n.ends_with("tmp")).count(), 1, "{file}");
        let stored = fs::read(p.dir.join("version-2").join(file)).unwrap();
        assert!(stored.starts_with(magic) && stored.len() < plain.len() / 2, "{file}");
        assert!(p.read(&name, 0, u64::MAX) == plain, "{file}");
    }
}
