//! Bytes <-> types: what clients, peers and disks see, in ZooKeeper's own encodings. Knows nothing about state.

pub mod adler;
pub mod client;
pub mod inbuf;
pub mod notification;
pub mod packet;
pub mod password;
pub mod records;
pub mod snapshot;
pub mod txn;
pub mod txnlog;
