//! Replies to writes: made from the transaction and from what applying it gave (client-protocol sections 3 and 6).

use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::jute::{Put, Reader, frame};
use crate::tree::OpResult;
use crate::wire::client::{MultiHeader, ReplyHeader};
use crate::wire::records::op;
use crate::wire::txn::{SubTxn, Txn, TxnHeader};

/// A write that was applied, on the server whose client asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The request's xid.
    pub xid: i32,
    /// The request's opcode: the transaction's type does not always tell it.
    pub op: i32,
    /// The transaction.
    pub header: &'a TxnHeader,
    /// Its body.
    pub txn: &'a Txn<'a>,
    /// What applying it gave.
    pub result: &'a OpResult,
    /// A local session that may not become global: what the log has as -112 is -120 to its client (2.6).
    pub local_session: bool,
}

impl Finished<'_> {
    /// Appends the reply's frame; returns its error.
    pub fn reply(&self, out: &mut Vec<u8>) -> ErrorCode {
        let err = match self.result {
            OpResult::Error(code) => self.translate(*code),
            _ => ErrorCode::Ok,
        };
        frame(out, |out| {
            ReplyHeader { xid: self.xid, zxid: self.header.zxid, err }.encode(out);
            if err == ErrorCode::Ok {
                self.body(out);
            }
        });
        err
    }

    fn translate(&self, code: ErrorCode) -> ErrorCode {
        match code {
            ErrorCode::SessionExpired if self.local_session => ErrorCode::EphemeralOnLocalSession,
            code => code,
        }
    }

    fn body(&self, out: &mut Vec<u8>) {
        match (self.txn, self.result) {
            (Txn::Create { path, .. }, OpResult::Created(stat)) => {
                out.put_string(path);
                if self.op != op::CREATE {
                    stat.encode(out);
                }
            }
            (Txn::SetData { data, .. }, OpResult::SetData(stat)) => {
                if self.op == op::RECONFIG {
                    out.put_buffer(*data);
                }
                stat.encode(out);
            }
            (Txn::SetAcl { .. }, OpResult::SetAcl(stat)) => stat.encode(out),
            (Txn::Multi(parts), OpResult::Multi(results)) => {
                assert_eq!(parts.len(), results.len(), "one result for each op of a multi");
                for (part, result) in parts.iter().zip(results) {
                    self.part(part, result, out);
                }
                MultiHeader::END.encode(out);
            }
            _ => {}
        }
    }

    fn part(&self, part: &SubTxn<'_>, result: &OpResult, out: &mut Vec<u8>) {
        let head = |kind, out: &mut Vec<u8>| MultiHeader { op: kind, done: false, err: 0 }.encode(out);
        match result {
            OpResult::Created(stat) => {
                // createTTL and createContainer answer as create2 does (section 6).
                let kind = if part.kind == op::CREATE { op::CREATE } else { op::CREATE2 };
                head(kind, out);
                out.put_buffer(Reader::new(part.body).buffer().ok().flatten());
                if kind == op::CREATE2 {
                    stat.encode(out);
                }
            }
            OpResult::SetData(stat) | OpResult::SetAcl(stat) => {
                head(op::SET_DATA, out);
                stat.encode(out);
            }
            OpResult::Deleted => head(op::DELETE, out),
            OpResult::Checked => head(op::CHECK, out),
            OpResult::Error(code) => {
                let code = self.translate(*code).code();
                MultiHeader { op: op::ERROR, done: false, err: code }.encode(out);
                out.put_i32(code);
            }
            OpResult::Multi(_) | OpResult::SessionCreated | OpResult::SessionClosed => {
                unreachable!("not an op of a multi")
            }
        }
    }
}
