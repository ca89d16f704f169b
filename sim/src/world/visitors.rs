//! Connections of somebody outside the run, who writes the bytes and reads what comes: [`crate::conversation`].

use super::World;
use crate::network::ConnId;

/// What has come on such a connection.
#[derive(Debug, Default)]
pub(crate) struct Visitor {
    /// Bytes that nobody has taken.
    pub(crate) received: Vec<u8>,
    /// The server has closed, or could not be reached.
    pub(crate) closed: bool,
}

impl World<'_> {
    /// All of them come from one host, behind those of the run. It has the address of this machine: recorded conversations do.
    pub(super) fn visitors_host(&self) -> usize {
        self.nodes.len() + self.clients.len()
    }

    /// Connects to the client port of a server.
    pub(crate) fn visit(&mut self, node: usize) -> ConnId {
        let id = self.dial_from(self.visitors_host() as u32, node);
        self.visitors.insert(id, Visitor::default());
        id
    }
}
