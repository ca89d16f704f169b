//! multi: all ops or none, in one transaction (client-protocol section 6).

use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::jute::Put;
use crate::request::prepare::Step;
use crate::wire::client::{Create, Request};
use crate::wire::records::op;

impl Step<'_> {
    /// Appends the body. A multi that fails is logged as well: what came before the failing op stays in the record, the rest
    /// are errors, nothing is applied. [`ErrorCode::MarshallingError`] where the whole request is malformed.
    pub(super) fn multi(&mut self, parts: &[Request<'_>], out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        if !parts.iter().all(is_well_formed) {
            return Err(ErrorCode::MarshallingError);
        }
        self.flying.begin();
        out.put_len(parts.len());
        let mut failed = false;
        for (i, part) in parts.iter().enumerate() {
            let start = out.len();
            // Whatever comes, the rest fits as errors: ids in place of "auth" may make a record many times its request.
            let fits = |out: &Vec<u8>| out.len() + (parts.len() - i - 1) * ERROR_LEN <= self.rules.record_max;
            if failed {
                put_error(ErrorCode::RuntimeInconsistency, out);
            } else if let Err(code) =
                self.part(part, out).and_then(|()| if fits(out) { Ok(()) } else { Err(ErrorCode::MarshallingError) })
            {
                out.truncate(start);
                put_error(code, out);
                failed = true;
            }
        }
        if failed {
            self.flying.take_back();
        } else {
            self.flying.keep();
        }
        Ok(())
    }

    /// Appends type, length and body of one op.
    fn part(&mut self, part: &Request<'_>, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let start = out.len();
        out.put_i32(part.op());
        out.put_i32(0);
        match part {
            Request::Create(c) => {
                let form = self.form_in_multi(c)?;
                out[start..start + 4].copy_from_slice(&form.kind.to_be_bytes());
                self.create(c, form, out)?;
            }
            Request::Delete { path, version } => self.delete(path.as_deref(), *version, out)?,
            Request::SetData { path, data, version } => self.set_data(path.as_deref(), *data, *version, out)?,
            Request::Check { path, version } => self.check(path.as_deref(), *version, out)?,
            _ => return Err(ErrorCode::MarshallingError),
        }
        let len = i32::try_from(out.len() - start - 8).expect("a frame is shorter than 2 GiB");
        out[start + 4..start + 8].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }
}

/// Length of an op that failed.
const ERROR_LEN: usize = 12;

fn put_error(code: ErrorCode, out: &mut Vec<u8>) {
    out.put_i32(op::ERROR);
    out.put_len(4);
    out.put_i32(code.code());
}

/// Whether the op may be in a multi of writes at all: kind, flags, path.
fn is_well_formed(part: &Request<'_>) -> bool {
    match part {
        Request::Create(c) => c.path.is_some() && has_known_flags(c),
        Request::Delete { path, .. } | Request::SetData { path, .. } | Request::Check { path, .. } => path.is_some(),
        _ => false,
    }
}

/// An unknown flag of opcode 21 is an error of that op only.
const fn has_known_flags(c: &Create<'_>) -> bool {
    c.op == op::CREATE_TTL || matches!(c.flags, 0..=4)
}
