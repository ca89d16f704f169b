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
];

/// Every name of an operation in the list of a scenario.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, ..)| *name)
}

/// The flags that mean something for the operation of this name; `None`: there is none.
pub(crate) fn flags_of(name: &str) -> Option<&'static str> {
    let (_, kind, _) = NAMES.iter().find(|(other, ..)| *other == name)?;
    Some(match kind {
        Kind::Create => "esctponr",
        Kind::SetAcl => "ponr",
        Kind::Get | Kind::Exists | Kind::Children => "w",
        Kind::AddWatch => "r",
        Kind::Multi => "csdk",
        Kind::MultiRead => "gl",
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
    /// create: `e` `s` `c`, `t` with a time to live of `version` ms; create, set-acl: `p` for the asker alone, `o` anybody may read,
    /// `n` for one other alone; get, exists, children: `w` leaves a watch; watch: `r` recursive; multi: `c` create, `s` set, `d` delete,
    /// `k` check; multi-read: `g` get, `l` list; set-acl: `r` without the right to set data.
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

    /// The request of the client protocol.
    pub(crate) fn request(&self) -> Request<'_> {
        let path = || Some(Cow::Borrowed(self.path.as_str()));
        let watch = self.has('w');
        match self.kind {
            Kind::Set => self.set(path()),
            Kind::Get => Request::GetData { path: path(), watch },
            Kind::Create => self.create(path(), i32::from(self.has('e')) + 2 * i32::from(self.has('s'))),
            Kind::Delete => Request::Delete { path: path(), version: self.version },
            Kind::Multi => Request::Multi(self.parts(Self::write)),
            Kind::MultiRead => Request::MultiRead(self.parts(|_, flag, path| match flag {
                'l' => Request::GetChildren { path, watch: false },
                _ => Request::GetData { path, watch: false },
            })),
            Kind::Exists => Request::Exists { path: path(), watch },
            Kind::Children => Request::GetChildren2 { path: path(), watch },
            Kind::Sync => Request::Sync { path: path() },
            Kind::AddWatch => Request::AddWatch { path: path(), mode: i32::from(self.has('r')) },
            Kind::SetAcl => Request::SetAcl { path: path(), acl: Some(self.acl()), version: self.version },
            Kind::GetAcl => Request::GetAcl { path: path() },
            Kind::Check => Request::Check { path: path(), version: self.version },
            // A move, a nap and an attachment ask for nothing.
            Kind::Close | Kind::Renew | Kind::Move | Kind::Nap | Kind::Attach => Request::CloseSession,
        }
    }

    fn parts<'a>(&'a self, part: impl Fn(&'a Self, char, Option<JStr<'a>>) -> Request<'a>) -> Vec<Request<'a>> {
        self.flags.chars().zip(self.path.split(',')).map(|(f, p)| part(self, f, Some(Cow::Borrowed(p)))).collect()
    }

    fn write<'a>(&'a self, flag: char, path: Option<JStr<'a>>) -> Request<'a> {
        match flag {
            'c' => self.create(path, 0),
            'd' => Request::Delete { path, version: -1 },
            'k' => Request::Check { path, version: self.version },
            _ => self.set(path),
        }
    }

    fn set<'a>(&'a self, path: Option<JStr<'a>>) -> Request<'a> {
        Request::SetData { path, data: Some(self.data.as_bytes()), version: self.version }
    }

    fn create<'a>(&'a self, path: Option<JStr<'a>>, flags: i32) -> Request<'a> {
        let single = self.kind == Kind::Create;
        let (op, flags, ttl) = if single && self.has('c') {
            (op::CREATE_CONTAINER, 4, -1)
        } else if single && self.has('t') {
            (op::CREATE_TTL, 5, i64::from(self.version.max(1)))
        } else {
            (op::CREATE, flags, -1)
        };
        let acl = if single { self.acl() } else { vec![Acl::world(perm::ALL)] };
        Request::Create(Create { op, path, data: Some(self.data.as_bytes()), acl: Some(acl), flags, ttl })
    }

    fn acl(&self) -> Vec<Acl<'static>> {
        let entry = |perms, scheme, id| Acl { perms, id: Id::new(scheme, id) };
        if self.has('p') {
            vec![entry(perm::ALL, "auth", "")]
        } else if self.has('o') {
            vec![Acl::world(perm::READ), entry(perm::ALL, "digest", PEOPLE[0].1)]
        } else if self.has('n') {
            vec![entry(perm::ALL, "digest", PEOPLE[1].1), entry(perm::READ, "digest", PEOPLE[0].1)]
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
        let Request::Multi(parts) = op.request() else { panic!("a multi") };
        assert!(matches!(&parts[0], Request::Create(c) if c.path.as_deref() == Some("/a")));
        assert!(matches!(&parts[1], Request::SetData { version: 3, .. }));
    }
}
