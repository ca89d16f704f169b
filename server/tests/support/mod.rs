//! What tests of the binary share: server processes and recorded conversations.

pub(crate) mod compare;
pub(crate) mod replay;
pub(crate) mod script;
pub(crate) mod server;
