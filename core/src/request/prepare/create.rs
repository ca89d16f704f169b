//! create in all its kinds: opcode and flags, sequential names, the znode and its parent (client-protocol 3, 4.1, 5).

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::ids::Millis;
use crate::mutant::Mutant;
use crate::request::prepare::ops::{len, text};
use crate::request::prepare::projection::{Node, Place, View};
use crate::request::prepare::{Step, paths};
use crate::tree::{content_crc, is_counted};
use crate::wire::client::Create;
use crate::wire::records::{Owner, StatPersisted, op, perm};
use crate::wire::txn::{CreateMode, Txn};

/// What opcode and flags together ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Form {
    /// The transaction's type.
    pub(super) kind: i32,
    mode: CreateMode,
    sequential: bool,
    /// The flags say ephemeral; a container stays one even so.
    ephemeral: bool,
}

/// Flag values.
mod flag {
    pub(super) const LAST_PLAIN: i32 = 3;
    pub(super) const CONTAINER: i32 = 4;
    pub(super) const TTL: i32 = 5;
    pub(super) const TTL_SEQUENTIAL: i32 = 6;
}

const TTL_MAX: Millis = 0xff_ffff_ffff;

const fn is_ephemeral(flags: i32) -> bool {
    matches!(flags, 1 | 3)
}
const fn is_sequential(flags: i32) -> bool {
    matches!(flags, 2 | 3 | flag::TTL_SEQUENTIAL)
}

impl Step<'_> {
    /// A create that stands alone: the flags are checked, the opcode gives the kind.
    pub(super) fn form(&self, c: &Create<'_>) -> Result<Form, ErrorCode> {
        let ttl = match c.flags {
            0..=flag::CONTAINER => false,
            flag::TTL | flag::TTL_SEQUENTIAL => true,
            _ => return Err(ErrorCode::BadArguments),
        };
        if ttl && !self.rules.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        // Opcode 21 without a TTL flag is refused whatever its ttl (8.4).
        if ttl != (c.op == op::CREATE_TTL) {
            return Err(ErrorCode::BadArguments);
        }
        self.of_kind(c.op, c)
    }

    /// A create in a multi: there the flags choose first (section 6).
    pub(super) fn form_in_multi(&self, c: &Create<'_>) -> Result<Form, ErrorCode> {
        let kind = match (c.op, c.flags) {
            (_, flag::CONTAINER) => op::CREATE_CONTAINER,
            (op::CREATE_TTL, 0..=flag::LAST_PLAIN) => op::CREATE,
            (op::CREATE_TTL, flag::TTL | flag::TTL_SEQUENTIAL) if !self.rules.extended_types => {
                return Err(ErrorCode::Unimplemented);
            }
            (op::CREATE_TTL, flag::TTL | flag::TTL_SEQUENTIAL) => op::CREATE_TTL,
            (op::CREATE_TTL, _) => return Err(ErrorCode::BadArguments),
            (kind, _) => kind,
        };
        self.of_kind(kind, c)
    }

    fn of_kind(&self, kind: i32, c: &Create<'_>) -> Result<Form, ErrorCode> {
        let ephemeral = is_ephemeral(c.flags);
        let mode = match kind {
            op::CREATE_CONTAINER => CreateMode::Container,
            op::CREATE_TTL if !(1..=TTL_MAX).contains(&c.ttl) => return Err(ErrorCode::BadArguments),
            op::CREATE_TTL => CreateMode::Ttl(c.ttl),
            _ => CreateMode::Plain { ephemeral },
        };
        Ok(Form { kind, mode, sequential: is_sequential(c.flags), ephemeral })
    }

    pub(super) fn create(&mut self, c: &Create<'_>, form: Form, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        if form.ephemeral && !self.global {
            // Its own server answers a local session with -120.
            return Err(ErrorCode::SessionExpired);
        }
        let path = text(c.path.as_deref())?;
        if !paths::has_place(path) {
            return Err(ErrorCode::BadArguments);
        }
        let list = self.fix_up(c.acl.as_deref())?;
        let above = paths::parent(path);
        let (parent_place, parent) = self.get(above);
        let parent = parent.ok_or(ErrorCode::NoNode)?;
        self.require(&parent, perm::CREATE)?;
        let path = if form.sequential { Cow::Owned(self.numbered(path, above, &parent)) } else { Cow::Borrowed(path) };
        if !paths::is_valid(&path) {
            return Err(ErrorCode::BadArguments);
        }
        let (place, node) = self.get(&path);
        if node.is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if let Owner::Session(_) = Owner::of(parent.stat().ephemeral_owner, self.tree.ttl_forms()) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let parent = parent.node();
        self.check_quota(&path, 1, len(c.data))?;
        let acl = self.share(&list);
        let parent_cversion = self.grow(parent_place, above, parent);
        let node = Node {
            stat: self.newborn(form.mode),
            children: 0,
            data_len: c.data.map_or(0, <[u8]>::len),
            content_crc: if is_counted(&path) { content_crc(&path, c.data) } else { 0 },
            acl,
        };
        self.flying.put(place, &path, self.zxid, Some(node));
        Txn::Create { path, data: c.data, acl: list, mode: form.mode, parent_cversion }.encode(form.kind, out);
        Ok(())
    }

    /// The name with ten digits of the parent's counter of creates (5.2).
    fn numbered(&self, prefix: &str, above: &str, parent: &View<'_>) -> alloc::string::String {
        let mut counter = parent.stat().cversion;
        if self.rules.mutants.has(Mutant::K24) {
            counter = parent.children() as i32;
        }
        if self.rules.mutants.has(Mutant::B51) {
            counter = self.tree.node(above).map_or(counter, |node| node.persisted().cversion);
        }
        format!("{prefix}{counter:010}")
    }

    /// One child more. Returns the parent's counter after that, as the transaction tells it: applying only ever raises it.
    fn grow(&mut self, place: Place, path: &str, mut parent: Node) -> i32 {
        let counter = parent.stat.cversion.wrapping_add(1);
        if counter > parent.stat.cversion {
            (parent.stat.cversion, parent.stat.pzxid) = (counter, self.zxid);
        }
        parent.children += 1;
        self.flying.put(place, path, self.zxid, Some(parent));
        counter
    }

    fn newborn(&self, mode: CreateMode) -> StatPersisted {
        let owner = match mode {
            CreateMode::Plain { ephemeral: true } => Owner::Session(self.session),
            CreateMode::Plain { ephemeral: false } => Owner::None,
            CreateMode::Container => Owner::Container,
            CreateMode::Ttl(ttl) => Owner::Ttl(ttl),
        };
        StatPersisted {
            czxid: self.zxid,
            mzxid: self.zxid,
            pzxid: self.zxid,
            ctime: self.time,
            mtime: self.time,
            ephemeral_owner: owner.stored(),
            ..StatPersisted::default()
        }
    }
}
