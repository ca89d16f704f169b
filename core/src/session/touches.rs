//! What a learner has heard of its sessions since the leader's last PING.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::SessionId;
use crate::jute::Put;

/// Sessions to be reported with the next PING reply, each once with its latest timeout.
#[derive(Clone, Debug, Default)]
pub struct TouchTable {
    /// Timeouts in ms.
    heard: BTreeMap<SessionId, i32>,
}

impl TouchTable {
    /// With nothing heard.
    #[must_use]
    pub const fn new() -> Self {
        Self { heard: BTreeMap::new() }
    }
    /// The session was heard of; `timeout` in ms is the one negotiated on its connection.
    pub fn touch(&mut self, session: SessionId, timeout: i32) {
        self.heard.insert(session, timeout);
    }
    /// The data of a PING reply, {long session, int timeout} each; the table is empty then.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.heard.len() * 12);
        for (session, timeout) in core::mem::take(&mut self.heard) {
            out.put_i64(session.0);
            out.put_i32(timeout);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::decode_touches;

    #[test]
    fn each_session_once_with_its_latest_timeout() {
        let mut table = TouchTable::new();
        table.touch(SessionId(7), 4000);
        table.touch(SessionId(5), 6000);
        table.touch(SessionId(7), 8000);
        let bytes = table.drain();
        assert_eq!(decode_touches(Some(&bytes)), Ok(alloc::vec![(SessionId(5), 6000), (SessionId(7), 8000)]));
        assert_eq!(table.drain(), []);
    }
}
