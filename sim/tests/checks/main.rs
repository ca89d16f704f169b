//! The checks against histories written by hand: the right ones pass, each wrong one breaks the property that is meant.

mod clients;
mod durability;
mod history;
mod trees;
mod zab;
