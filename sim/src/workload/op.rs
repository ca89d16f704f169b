//! One operation, in the flat shape that scenario files have.

use std::borrow::Cow;

use quorate_core::jute::JStr;
use quorate_core::wire::client::{Create, Request};
use quorate_core::wire::records::{Acl, Id, op, perm};

use super::PEOPLE;
use crate::spec::{At, ExplicitOp};

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Set,
    Get,
    Create,
    Delete,
    Multi,
    MultiRead,
    Exists,
    Children,
    Sync,
    AddWatch,
    SetAcl,
    GetAcl,
    /// getChildren: no Stat.
    List,
    /// getAllChildrenNumber.
    Count,
    Ephemerals,
    WhoAmI,
    CheckWatches,
    RemoveWatches,
    /// setWatches or setWatches2, as somebody who has seen up to the zxid in `data`.
    SetWatches,
    Auth,
    Sasl,
    Reconfig,
    /// Any opcode (`version`) with any body (`data`, in hexadecimal digits).
    Raw,
    /// A check outside a multi: nobody may ask for that.
    Check,
    /// No request: the client leaves its server for another one, whatever is in flight.
    Move,
    Close,
    /// closeSession, sometimes with a create right behind it; then a new session.
    Renew,
    /// The client says nothing for about as long as its session lives.
    Nap,
    /// No request: the server of this name is the one that the client attaches to from now on, if it may.
    Attach,
}

const NAMES: &[(&str, Kind, &str)] = &[
    ("set", Kind::Set, ""),
    ("get", Kind::Get, ""),
    ("create", Kind::Create, ""),
    ("create-seq", Kind::Create, "s"),
    ("create-eph", Kind::Create, "e"),
    ("delete", Kind::Delete, ""),
    ("multi", Kind::Multi, ""),
    ("multi-read", Kind::MultiRead, ""),
    ("exists", Kind::Exists, ""),
    ("children", Kind::Children, ""),
    ("sync", Kind::Sync, ""),
    ("watch", Kind::AddWatch, ""),
    ("set-acl", Kind::SetAcl, ""),
    ("acl", Kind::SetAcl, "p"),
    ("get-acl", Kind::GetAcl, ""),
    ("container", Kind::Create, "c"),
    ("ttl", Kind::Create, "t"),
    ("quota", Kind::Multi, "cc"),
    ("check", Kind::Check, ""),
    ("move", Kind::Move, ""),
    ("close", Kind::Close, ""),
    ("renew", Kind::Renew, ""),
    ("nap", Kind::Nap, ""),
    ("attach", Kind::Attach, ""),
    ("list", Kind::List, ""),
    ("count", Kind::Count, ""),
    ("ephemerals", Kind::Ephemerals, ""),
    ("who-am-i", Kind::WhoAmI, ""),
    ("check-watches", Kind::CheckWatches, ""),
    ("remove-watches", Kind::RemoveWatches, ""),
    ("set-watches", Kind::SetWatches, ""),
    ("auth", Kind::Auth, ""),
    ("sasl", Kind::Sasl, ""),
    ("reconfig", Kind::Reconfig, ""),
    ("raw", Kind::Raw, ""),
];

/// Every name of an operation in the list of a scenario.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, ..)| *name)
}

/// The flags that mean something for the operation of this name; `None`: there is none.
pub(crate) fn flags_of(name: &str) -> Option<&'static str> {
    let (_, kind, _) = NAMES.iter().find(|(other, ..)| *other == name)?;
    Some(match kind {
        Kind::Create => "esctponr2kTxzZijBDUA0N",
        Kind::SetAcl => "ponrijBDUAN",
        Kind::Set => "0N",
        Kind::Get | Kind::Exists | Kind::Children | Kind::List => "wN",
        Kind::Delete | Kind::GetAcl | Kind::Count | Kind::Ephemerals | Kind::CheckWatches | Kind::RemoveWatches => "N",
        Kind::Sync => "N",
        Kind::AddWatch => "rmN",
        Kind::Auth => "N0",
        Kind::SetWatches => "decpr",
        Kind::Multi => "csdkCKTeqExXgvyfF",
        Kind::MultiRead => "glsxN",
        _ => "",
    })
}

/// Whether the operation of this name asks for a transaction.
#[must_use]
pub fn is_write(name: &str) -> bool {
    let kind = NAMES.iter().find(|(other, ..)| *other == name).map(|(_, kind, _)| *kind);
    matches!(kind, Some(Kind::Set | Kind::Create | Kind::Delete | Kind::Multi | Kind::SetAcl))
}

/// An operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    /// multi, multi-read: one path for each flag, separated by commas.
    pub(crate) path: String,
    pub(crate) data: String,
    /// As `ExplicitOp::flags` says.
    pub(crate) flags: String,
    pub(crate) version: i32,
}

impl Op {
    pub(crate) fn new(kind: Kind, path: impl Into<String>) -> Self {
        Self { kind, path: path.into(), data: String::new(), flags: String::new(), version: -1 }
    }

    /// From a scenario file; `None` for an unknown name.
    pub(crate) fn from_explicit(e: &ExplicitOp) -> Option<Self> {
        let (_, kind, flags) = NAMES.iter().find(|(name, ..)| *name == e.op)?;
        Some(Self {
            kind: *kind,
            path: e.path.clone(),
            data: e.data.clone(),
            flags: format!("{}{flags}", e.flags),
            version: e.version,
        })
    }

    /// For a scenario file.
    pub(crate) fn explicit(&self, client: usize, at: At) -> ExplicitOp {
        let name = NAMES.iter().find(|(_, kind, _)| *kind == self.kind).map_or("sync", |(name, ..)| name);
        ExplicitOp {
            client: client as u32 + 1,
            at,
            op: (*name).to_owned(),
            path: self.path.clone(),
            data: self.data.clone(),
            flags: self.flags.clone(),
            version: self.version,
        }
    }

    /// The server that it names.
    pub(crate) fn server(&self) -> Option<usize> {
        crate::fault::server(&self.path)
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// The request of the client protocol; `None`: it is given as bytes.
    pub(crate) fn request(&self) -> Option<Request<'_>> {
        let path = || (!self.has('N')).then_some(Cow::Borrowed(self.path.as_str()));
        let watch = self.has('w');
        Some(match self.kind {
            Kind::Set => self.set(path()),
            Kind::Get => Request::GetData { path: path(), watch },
            Kind::Create => self.create(path()),
            Kind::Delete => Request::Delete { path: path(), version: self.version },
            Kind::Multi => Request::Multi(self.parts(Self::write)),
            Kind::MultiRead => Request::MultiRead(self.parts(|op, flag, path| match flag {
                'l' => Request::GetChildren { path, watch: false },
                's' => op.set(path),
                'x' => Request::Exists { path, watch: false },
                'N' => Request::GetData { path: None, watch: false },
                _ => Request::GetData { path, watch: false },
            })),
            Kind::Exists => Request::Exists { path: path(), watch },
            Kind::Children => Request::GetChildren2 { path: path(), watch },
            Kind::List => Request::GetChildren { path: path(), watch },
            Kind::Count => Request::GetAllChildrenNumber { path: path() },
            Kind::Ephemerals => Request::GetEphemerals { prefix: path() },
            Kind::WhoAmI => Request::WhoAmI,
            Kind::CheckWatches => Request::CheckWatches { path: path(), kind: self.version },
            Kind::RemoveWatches => Request::RemoveWatches { path: path(), kind: self.version },
            Kind::SetWatches => self.set_watches(),
            Kind::Auth => Request::Auth { scheme: path(), auth: (!self.has('0')).then_some(self.data.as_bytes()) },
            Kind::Sasl => Request::Sasl { token: Some(self.data.as_bytes()) },
            Kind::Reconfig => {
                Request::Reconfig { joining: path(), leaving: None, new_members: None, config_id: self.version.into() }
            }
            Kind::Sync => Request::Sync { path: path() },
            Kind::AddWatch if self.has('m') => Request::AddWatch { path: path(), mode: self.version },
            Kind::AddWatch => Request::AddWatch { path: path(), mode: i32::from(self.has('r')) },
            Kind::SetAcl => {
                let acl = (!self.has('A')).then(|| self.acl());
                Request::SetAcl { path: path(), acl, version: self.version }
            }
            Kind::GetAcl => Request::GetAcl { path: path() },
            Kind::Check => Request::Check { path: path(), version: self.version },
            Kind::Raw => return None,
            // A move, a nap and an attachment ask for nothing.
            Kind::Close | Kind::Renew | Kind::Move | Kind::Nap | Kind::Attach => Request::CloseSession,
        })
    }

    /// Appends opcode and body.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        if let Some(request) = self.request() {
            out.extend_from_slice(&request.op().to_be_bytes());
            return request.encode_body(out);
        }
        out.extend_from_slice(&self.version.to_be_bytes());
        let digits: Vec<u8> = self.data.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        out.extend(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    }

    fn set_watches(&self) -> Request<'_> {
        let of = |flag| -> Vec<JStr<'_>> {
            let pairs = self.flags.chars().zip(self.path.split(','));
            pairs.filter(|(f, _)| *f == flag).map(|(_, p)| Cow::Borrowed(p)).collect()
        };
        let seen = self.data.parse().unwrap_or_default();
        let (data, exist, child, persistent, recursive) = (of('d'), of('e'), of('c'), of('p'), of('r'));
        if persistent.is_empty() && recursive.is_empty() {
            return Request::SetWatches { seen, data, exist, child };
        }
        Request::SetWatches2 { seen, data, exist, child, persistent, recursive }
    }

    fn parts<'a>(&'a self, part: impl Fn(&'a Self, char, Option<JStr<'a>>) -> Request<'a>) -> Vec<Request<'a>> {
        self.flags.chars().zip(self.path.split(',')).map(|(f, p)| part(self, f, Some(Cow::Borrowed(p)))).collect()
    }

    fn write<'a>(&'a self, flag: char, path: Option<JStr<'a>>) -> Request<'a> {
        let world = || vec![Acl::world(perm::ALL)];
        let create = |op, path, flags| {
            let ttl = if op == op::CREATE_TTL { 1000 } else { -1 };
            Request::Create(Create { op, path, data: Some(self.data.as_bytes()), acl: Some(world()), flags, ttl })
        };
        match flag {
            'c' => create(op::CREATE, path, 0),
            'C' => create(op::CREATE2, path, 0),
            'K' => create(op::CREATE_CONTAINER, path, 4),
            'T' => create(op::CREATE_TTL, path, 5),
            'e' => create(op::CREATE, path, 1),
            'q' => create(op::CREATE, path, 2),
            'E' => create(op::CREATE2, path, 3),
            'x' => create(op::CREATE_TTL, path, 7),
            'X' => create(op::CREATE, path, 7),
            'f' => create(op::CREATE_TTL, path, 0),
            'F' => create(op::CREATE, path, 4),
            'g' => Request::GetData { path, watch: false },
            'd' => Request::Delete { path, version: -1 },
            'v' => Request::Check { path, version: -2 },
            'k' => Request::Check { path, version: self.version },
            'y' => Request::SetData { path, data: None, version: -2 },
            _ => self.set(path),
        }
    }

    fn set<'a>(&'a self, path: Option<JStr<'a>>) -> Request<'a> {
        let data = (!self.has('0')).then_some(self.data.as_bytes());
        Request::SetData { path, data, version: self.version }
    }

    fn create<'a>(&'a self, path: Option<JStr<'a>>) -> Request<'a> {
        let sequential = self.has('s');
        let plain = i32::from(self.has('e')) + 2 * i32::from(sequential);
        let own = if self.has('2') { op::CREATE2 } else { op::CREATE };
        let ttl = if self.has('Z') { i64::from(self.version) } else { i64::from(self.version.max(1)) };
        let (op, flags, ttl) = match () {
            () if self.has('x') => (own, 7, -1),
            () if self.has('k') => (own, 4, -1),
            () if self.has('T') => (own, 5, -1),
            () if self.has('z') => (op::CREATE_TTL, plain, ttl),
            () if self.has('c') && plain > 0 => (op::CREATE_CONTAINER, plain, -1),
            () if self.has('c') => (op::CREATE_CONTAINER, 4, -1),
            () if self.has('t') => (op::CREATE_TTL, if sequential { 6 } else { 5 }, ttl),
            () => (own, plain, -1),
        };
        let data = (!self.has('0')).then_some(self.data.as_bytes());
        let acl = (!self.has('A')).then(|| self.acl());
        Request::Create(Create { op, path, data, acl, flags, ttl })
    }

    fn acl(&self) -> Vec<Acl<'static>> {
        let entry = |perms, scheme, id| Acl { perms, id: Id::new(scheme, id) };
        if self.has('p') {
            vec![entry(perm::ALL, "auth", "")]
        } else if self.has('o') {
            vec![Acl::world(perm::READ), entry(perm::ALL, "digest", PEOPLE[0].1)]
        } else if self.has('n') {
            vec![entry(perm::ALL, "digest", PEOPLE[1].1), entry(perm::READ, "digest", PEOPLE[0].1)]
        } else if self.has('i') {
            vec![entry(perm::ALL, "ip", "10.0.0.0/8")]
        } else if self.has('j') {
            vec![entry(perm::READ, "ip", "10.0.0.0/30"), entry(perm::ALL, "ip", "127.0.0.1")]
        } else if self.has('D') {
            vec![Acl::world(perm::READ), Acl::world(perm::READ), Acl::world(perm::ALL), entry(0, "digest", PEOPLE[0].1)]
        } else if self.has('U') {
            vec![Acl::world(perm::ALL), entry(perm::ALL, "digest", "nobody")]
        } else if self.has('B') {
            Vec::new()
        } else {
            vec![Acl::world(if self.has('r') { perm::ALL & !perm::WRITE } else { perm::ALL })]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_survives_the_scenario_file() {
        let op = Op { kind: Kind::Multi, path: "/a,/b".into(), data: "x".into(), flags: "cs".into(), version: 3 };
        assert_eq!(Op::from_explicit(&op.explicit(2, At::Us { us: 77 })), Some(op.clone()));
        let Some(Request::Multi(parts)) = op.request() else { panic!("a multi") };
        assert!(matches!(&parts[0], Request::Create(c) if c.path.as_deref() == Some("/a")));
        assert!(matches!(&parts[1], Request::SetData { version: 3, .. }));
    }
}
