//! Numbers, texts and a server's configuration as bytes of a recording.

use std::sync::Arc;

use quorate_core::config::{
    Auth, Compression, Configuration, ConnectThrottle, DigestAlgorithm, Ensemble, Features, Limits, Member, MemberKind,
    PeerConfig, RequestThrottle, Storage, Timing,
};
use quorate_core::ids::{Now, Sid};
use quorate_core::mutant::Mutants;

/// Appends a number in seven-bit groups.
pub fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The same with a sign: small either way is short.
pub fn put_signed(out: &mut Vec<u8>, n: i64) {
    put_number(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Appends a length and these bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was appended. `None`: it ends too early, or is not what it should be.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }
    /// See [`put_number`].
    pub fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            n |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Some(n);
            }
        }
        None
    }
    /// See [`put_signed`].
    pub fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }
    /// See [`put_bytes`].
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = usize::try_from(self.number()?).ok()?;
        self.take(n)
    }
    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// A value that a recording's header holds.
pub trait Stored: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it.
    fn get(r: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Stored for $t {
            fn put(&self, out: &mut Vec<u8>) {
                put_number(out, *self as u64);
            }
            fn get(r: &mut Reader<'_>) -> Option<Self> {
                r.number()?.try_into().ok()
            }
        }
    )*};
}
numbers!(u32, u64, usize);

impl Stored for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_signed(out, *self);
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        r.signed()
    }
}

impl Stored for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        r.byte().and_then(|b| (b < 2).then_some(b == 1))
    }
}

impl Stored for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        r.text().map(str::to_owned)
    }
}

impl Stored for Arc<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        r.text().map(Self::from)
    }
}

impl Stored for Sid {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        Some(Self(Stored::get(r)?))
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        if bool::get(r)? { T::get(r).map(Some) } else { Some(None) }
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_number(out, self.len() as u64);
        self.iter().for_each(|value| value.put(out));
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        // Each takes a byte at least, so that a wrong number cannot ask for much.
        let n = r.number().filter(|n| *n <= r.0.len() as u64)?;
        (0..n).map(|_| T::get(r)).collect()
    }
}

macro_rules! choices {
    ($t:ty: $($variant:ident = $n:literal),*) => {
        impl Stored for $t {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $n,)* });
            }
            fn get(r: &mut Reader<'_>) -> Option<Self> {
                match r.byte()? { $($n => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
choices!(MemberKind: Participant = 0, Observer = 1);
choices!(Compression: None = 0, Gzip = 1, Snappy = 2);
choices!(DigestAlgorithm: Sha1 = 0, Sha224 = 1, Sha256 = 2, Sha384 = 3, Sha512 = 4, Sha512Over224 = 5, Sha512Over256 = 6);

// A field that is forgotten here does not compile.
macro_rules! structs {
    ($($t:ident { $($field:ident),* $(,)? })*) => {$(
        impl Stored for $t {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }
            fn get(r: &mut Reader<'_>) -> Option<Self> {
                $(let $field = Stored::get(r)?;)*
                Some(Self { $($field),* })
            }
        }
    )*};
}
structs! {
    Member { sid, quorum, election, client, kind, weight, group }
    Ensemble { members, version }
    Timing {
        tick_ms, init_limit, sync_limit, connect_limit, min_session_ms, max_session_ms, cnx_timeout_ms,
        min_notification_ms, max_notification_ms, leader_connect_retry_ms, sessionless_ms, container_check_ms,
        container_never_used_ms, container_max_per_minute,
    }
    Limits {
        frame_max, frame_extra, max_client_cnxns, max_cnxns, connects, outstanding, epoch_len, window_count, window_bytes,
        learner_queue_bytes, client_output_bytes, snap_chunk_bytes, max_snap_syncs, max_diff_syncs, requests,
    }
    ConnectThrottle {
        tokens, fill_ms, fill_count, freeze_ms, drop_increase_ppm, drop_decrease_ppm, decrease_ppm, global_weight,
        local_weight, renew_weight,
    }
    Storage {
        snap_count, snap_size_bytes, prealloc_bytes, force_sync, log_size_limit, retain_count, purge_interval_ms,
        trust_empty, autocreate, compression, observer_sync, snapshot_size_factor_permille, chunk_bytes,
    }
    Features {
        extended_types, emulate_353, enforce_quota, tree_digest, read_only_mode,
        leader_serves, local_sessions, local_sessions_upgrading, four_letter_words, auth,
    }
    RequestThrottle { max_requests, wait_ms, drop_late }
    Auth {
        skip_acl, digest, digest_algorithm, super_digest, x509, x509_super, sasl, enforced, eager_check,
    }
    Now { mono_ms, wall_ms }
    PeerConfig { sid, ensemble, kind, timing, limits, storage, features, seed, trace, mutants }
}

impl Stored for Arc<Configuration> {
    fn put(&self, out: &mut Vec<u8>) {
        Ensemble::put(self, out);
    }
    fn get(r: &mut Reader<'_>) -> Option<Self> {
        Ensemble::get(r).map(Configuration::new)
    }
}

/// A server that records has no planted bug.
impl Stored for Mutants {
    fn put(&self, _out: &mut Vec<u8>) {}
    fn get(_r: &mut Reader<'_>) -> Option<Self> {
        Some(Self::default())
    }
}
