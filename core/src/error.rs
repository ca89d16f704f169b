//! Errors by who is to blame: a client ([`ErrorCode`]), a peer ([`CloseReason`]), bytes ([`DecodeError`]), the disk ([`DiskError`]).

use alloc::string::String;
use core::fmt;

/// A reply's error, with ZooKeeper's numbers (client-protocol section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[allow(missing_docs)]
pub enum ErrorCode {
    #[default]
    Ok,
    RuntimeInconsistency,
    MarshallingError,
    Unimplemented,
    BadArguments,
    NewConfigNoQuorum,
    ReconfigInProgress,
    UnknownSession,
    NoNode,
    NoAuth,
    BadVersion,
    NoChildrenForEphemerals,
    NodeExists,
    NotEmpty,
    SessionExpired,
    InvalidAcl,
    AuthFailed,
    SessionMoved,
    NotReadOnly,
    EphemeralOnLocalSession,
    NoWatcher,
    ReconfigDisabled,
    SessionClosedRequireSaslAuth,
    QuotaExceeded,
    ThrottledOp,
    /// A code of another implementation, kept as it came in an error txn.
    Other(i32),
}

const CODES: &[(ErrorCode, i32)] = &[
    (ErrorCode::Ok, 0),
    (ErrorCode::RuntimeInconsistency, -2),
    (ErrorCode::MarshallingError, -5),
    (ErrorCode::Unimplemented, -6),
    (ErrorCode::BadArguments, -8),
    (ErrorCode::UnknownSession, -12),
    (ErrorCode::NewConfigNoQuorum, -13),
    (ErrorCode::ReconfigInProgress, -14),
    (ErrorCode::NoNode, -101),
    (ErrorCode::NoAuth, -102),
    (ErrorCode::BadVersion, -103),
    (ErrorCode::NoChildrenForEphemerals, -108),
    (ErrorCode::NodeExists, -110),
    (ErrorCode::NotEmpty, -111),
    (ErrorCode::SessionExpired, -112),
    (ErrorCode::InvalidAcl, -114),
    (ErrorCode::AuthFailed, -115),
    (ErrorCode::SessionMoved, -118),
    (ErrorCode::NotReadOnly, -119),
    (ErrorCode::EphemeralOnLocalSession, -120),
    (ErrorCode::NoWatcher, -121),
    (ErrorCode::ReconfigDisabled, -123),
    (ErrorCode::SessionClosedRequireSaslAuth, -124),
    (ErrorCode::QuotaExceeded, -125),
    (ErrorCode::ThrottledOp, -127),
];

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i32 {
        if let Self::Other(code) = self {
            return code;
        }
        CODES.iter().find(|(e, _)| *e == self).map_or(-1, |(_, c)| *c)
    }
    /// The error with this number.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        CODES.iter().find(|(_, c)| *c == code).map_or(Self::Other(code), |(e, _)| *e)
    }
}

/// Bytes that do not decode: where and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// Offset in the record, in bytes.
    pub offset: usize,
    /// What was expected or is wrong.
    pub what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// What a disk operation failed with, as far as the core cares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskError {
    /// The file or directory does not exist.
    NotFound,
    /// No space left on the device.
    Full,
    /// Anything else; the adapter's words.
    Io(String),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("a file is missing"),
            Self::Full => f.write_str(
                "no space is left on the device; make room (autopurge.purgeInterval lets old snapshots and logs go by themselves)",
            ),
            Self::Io(what) => f.write_str(what),
        }
    }
}

/// Why the core closes a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The conversation is over (closeSession answered, four-letter word answered, role changed).
    Done,
    /// The other side broke the protocol; the precise rule.
    Misbehaved(&'static str),
    /// Bytes that do not decode.
    Undecodable(DecodeError),
    /// Nothing heard for too long.
    Timeout(&'static str),
    /// This server does not serve (no leader, wrong role, too many connections, zxid ahead).
    Refused(&'static str),
    /// A newer connection takes its place.
    Replaced,
    /// The receiver is too slow: its bounded queue overflowed.
    TooSlow,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Misbehaved(what) => write!(f, "peer misbehaved: {what}"),
            Self::Undecodable(e) => write!(f, "undecodable: {e}"),
            Self::Timeout(what) => write!(f, "timeout: {what}"),
            Self::Refused(what) => write!(f, "refused: {what}"),
            Self::Replaced => f.write_str("replaced by a newer connection"),
            Self::TooSlow => f.write_str("receiver too slow"),
        }
    }
}
