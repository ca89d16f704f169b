//! How often each operation and each answer was judged: a history that asks for little proves little.

use std::collections::BTreeMap;

use quorate_core::error::ErrorCode;
use quorate_core::wire::client::{EventKind, MultiResult, Request, Response};
use quorate_core::wire::records::op;

use super::clients::{Fate, Pending, Reply};

/// Counts by operation, and by what came of it: the number of an error, 0 for success.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Judged(BTreeMap<(&'static str, i32), u64>);

/// The name of an opcode (client-protocol 3).
const fn name(code: i32) -> &'static str {
    match code {
        op::CREATE => "create",
        op::CREATE2 => "create2",
        op::CREATE_CONTAINER => "createContainer",
        op::CREATE_TTL => "createTTL",
        op::DELETE => "delete",
        op::DELETE_CONTAINER => "deleteContainer",
        op::EXISTS => "exists",
        op::GET_DATA => "getData",
        op::SET_DATA => "setData",
        op::GET_ACL => "getACL",
        op::SET_ACL => "setACL",
        op::GET_CHILDREN => "getChildren",
        op::GET_CHILDREN2 => "getChildren2",
        op::SYNC => "sync",
        op::PING => "ping",
        op::CHECK => "check",
        op::MULTI => "multi",
        op::MULTI_READ => "multiRead",
        op::RECONFIG => "reconfig",
        op::CHECK_WATCHES => "checkWatches",
        op::REMOVE_WATCHES => "removeWatches",
        op::AUTH => "auth",
        op::SET_WATCHES => "setWatches",
        op::SET_WATCHES2 => "setWatches2",
        op::ADD_WATCH => "addWatch",
        op::SASL => "sasl",
        op::GET_EPHEMERALS => "getEphemerals",
        op::GET_ALL_CHILDREN_NUMBER => "getAllChildrenNumber",
        op::WHO_AM_I => "whoAmI",
        op::CREATE_SESSION => "createSession",
        op::CLOSE_SESSION => "closeSession",
        _ => "unknown opcode",
    }
}

/// The name of an op inside a multi or multiRead.
const fn part_name(code: i32) -> &'static str {
    match code {
        op::CREATE => "multi: create",
        op::CREATE2 => "multi: create2",
        op::CREATE_CONTAINER => "multi: createContainer",
        op::CREATE_TTL => "multi: createTTL",
        op::DELETE => "multi: delete",
        op::SET_DATA => "multi: setData",
        op::CHECK => "multi: check",
        op::GET_DATA => "multiRead: getData",
        op::GET_CHILDREN => "multiRead: getChildren",
        _ => "multi: other",
    }
}

impl Judged {
    /// How often `name` was judged with this outcome.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i32, u64)> {
        self.0.iter().map(|((name, err), count)| (*name, *err, *count))
    }

    pub(super) fn answer(&mut self, name: &'static str, err: ErrorCode) {
        *self.0.entry((name, err.code())).or_default() += 1;
    }

    pub(super) fn event(&mut self, kind: EventKind) {
        let name = match kind {
            EventKind::Created => "event: NodeCreated",
            EventKind::Deleted => "event: NodeDeleted",
            EventKind::DataChanged => "event: NodeDataChanged",
            EventKind::ChildrenChanged => "event: NodeChildrenChanged",
        };
        self.answer(name, ErrorCode::Ok);
    }

    pub(super) fn connected(&mut self, read_only: bool, fresh: bool, global: bool) {
        let name = match (read_only, fresh, global) {
            (true, true, _) => "connect: new session, read-only server",
            (true, false, _) => "connect: session resumed, read-only server",
            (false, true, true) => "connect: new session",
            (false, false, true) => "connect: session resumed",
            (false, true, false) => "connect: new local session",
            (false, false, false) => "connect: local session resumed",
        };
        self.answer(name, ErrorCode::Ok);
    }

    /// A client was told that its session is gone.
    pub(super) fn refused(&mut self) {
        self.answer("connect: session is gone", ErrorCode::SessionExpired);
    }

    pub(super) fn reply(&mut self, p: &Pending, reply: &Reply<'_>) {
        self.answer(name(p.op), reply.err);
        if reply.request.is_none() && reply.err == ErrorCode::MarshallingError {
            self.answer("undecodable body", reply.err);
        }
        if p.fate != Fate::Served {
            return;
        }
        match (reply.request, reply.body) {
            (Some(Request::Multi(parts) | Request::MultiRead(parts)), Some(Response::Multi(results))) => {
                for (part, result) in parts.iter().zip(results) {
                    let err = if let MultiResult::Error(err) = result { *err } else { ErrorCode::Ok };
                    self.answer(part_name(part.op()), err);
                }
            }
            (Some(Request::Create(c)), _) => {
                let flags = match c.flags {
                    0 => "create flags 0",
                    1 => "create flags 1 (ephemeral)",
                    2 => "create flags 2 (sequential)",
                    3 => "create flags 3 (ephemeral sequential)",
                    4 => "create flags 4 (container)",
                    5 => "create flags 5 (TTL)",
                    6 => "create flags 6 (TTL sequential)",
                    _ => "create flags unknown",
                };
                self.answer(flags, reply.err);
            }
            _ => {}
        }
    }
}
