//! Compressed snapshots, read and written as if they were plain (storage-format section 4).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use quorate_core::event::{Dir, FileName};

/// How a file is packed, by the end of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compressed {
    /// `snapshot.<zxid>.gz`.
    Gzip,
    /// `snapshot.<zxid>.snappy`.
    Snappy,
}

impl Compressed {
    /// Snapshots only: anything else is what it is.
    pub(super) fn of(name: &FileName) -> Option<Self> {
        if name.dir != Dir::Data || !name.name.starts_with("snapshot.") {
            return None;
        }
        match name.name.rsplit_once('.')?.1 {
            "gz" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }

    /// Writes what `plain` holds into `packed`, durably.
    pub(super) fn pack(self, plain: &Path, packed: &Path) -> io::Result<()> {
        let mut from = BufReader::with_capacity(SKIP, File::open(plain)?);
        let to = BufWriter::with_capacity(SKIP, File::create(packed)?);
        let file = match self {
            Self::Gzip => {
                let mut gz = GzEncoder::new(to, flate2::Compression::default());
                io::copy(&mut from, &mut gz)?;
                gz.finish()?
            }
            Self::Snappy => pack_snappy(&mut from, to)?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// The stream format of snappy-java, in its default blocks.
fn pack_snappy(from: &mut impl Read, mut to: BufWriter<File>) -> io::Result<BufWriter<File>> {
    to.write_all(&SNAPPY_MAGIC)?;
    // Version, and the oldest one that can read this.
    to.write_all(&[0, 0, 0, 1, 0, 0, 0, 1])?;
    let mut block = Vec::with_capacity(SNAPPY_BLOCK);
    let mut encoder = snap::raw::Encoder::new();
    loop {
        block.clear();
        from.take(SNAPPY_BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(to);
        }
        let packed = encoder.compress_vec(&block).map_err(io::Error::other)?;
        to.write_all(&u32::try_from(packed.len()).map_err(io::Error::other)?.to_be_bytes())?;
        to.write_all(&packed)?;
    }
}

/// A packed file that is being read.
pub(super) struct Packed {
    name: FileName,
    plain: Box<dyn Read + Send>,
    position: u64,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("name", &self.name).field("position", &self.position).finish_non_exhaustive()
    }
}

/// What is skipped in one go.
const SKIP: usize = 64 << 10;
/// What is allocated before anything has been read.
const FIRST: u64 = 1 << 20;

impl Packed {
    pub(super) fn open(name: &FileName, kind: Compressed, path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(SKIP, File::open(path)?);
        let plain: Box<dyn Read + Send> = match kind {
            Compressed::Gzip => Box::new(MultiGzDecoder::new(file)),
            Compressed::Snappy => Box::new(SnappyStream::new(file)?),
        };
        Ok(Self { name: name.clone(), plain, position: 0 })
    }
    pub(super) fn is(&self, name: &FileName) -> bool {
        self.name == *name
    }
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Up to `length` plain bytes at `at`, which is not behind the position.
    pub(super) fn read(&mut self, at: u64, length: u64) -> io::Result<Bytes> {
        let mut skipped = vec![0; SKIP];
        while self.position < at {
            let want = usize::try_from(at - self.position).unwrap_or(SKIP).min(SKIP);
            match self.plain.read(&mut skipped[..want])? {
                0 => return Ok(Bytes::new()),
                n => self.position += n as u64,
            }
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(FIRST)).unwrap_or(0));
        let n = (&mut self.plain).take(length).read_to_end(&mut bytes)?;
        self.position += n as u64;
        Ok(bytes.into())
    }
}

/// The stream format of snappy-java: a header, then blocks, each with its length before it.
struct SnappyStream<R> {
    from: R,
    packed: Vec<u8>,
    plain: Vec<u8>,
    at: usize,
}

const SNAPPY_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// What snappy-java writes by default.
const SNAPPY_BLOCK: usize = 32 << 10;
/// No writer makes larger blocks: its default is 32 KiB.
const SNAPPY_BLOCK_MAX: usize = 64 << 20;

impl<R: Read> SnappyStream<R> {
    fn new(mut from: R) -> io::Result<Self> {
        let mut header = [0; 16];
        from.read_exact(&mut header)?;
        if header[..8] != SNAPPY_MAGIC {
            return Err(io::Error::other("not a snappy stream: its first bytes are others"));
        }
        Ok(Self { from, packed: Vec::new(), plain: Vec::new(), at: 0 })
    }

    /// False at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut length = [0; 4];
        loop {
            match self.from.read(&mut length[..1])? {
                0 => return Ok(false),
                _ => self.from.read_exact(&mut length[1..])?,
            }
            if length != SNAPPY_MAGIC[..4] {
                break;
            }
            // A concatenated stream begins again with its header.
            let mut rest = [0; 12];
            self.from.read_exact(&mut rest)?;
        }
        let length = u32::from_be_bytes(length) as usize;
        let refuse = |what: &str| Err(io::Error::other(format!("damaged snappy stream: {what}")));
        if length > SNAPPY_BLOCK_MAX {
            return refuse("a block is too long");
        }
        self.packed.clear();
        (&mut self.from).take(length as u64).read_to_end(&mut self.packed)?;
        if self.packed.len() < length {
            return refuse("it ends inside a block");
        }
        match snap::raw::decompress_len(&self.packed) {
            Ok(n) if n <= SNAPPY_BLOCK_MAX => {}
            _ => return refuse("a block has no usable length"),
        }
        self.plain = snap::raw::Decoder::new().decompress_vec(&self.packed).map_err(io::Error::other)?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for SnappyStream<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = into.len().min(self.plain.len() - self.at);
        into[..n].copy_from_slice(&self.plain[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
