//! Between the state and the connections: requests become transactions, transactions become replies, reads are answered.

pub mod finish;
pub mod lists;
pub mod prepare;
pub mod read;
