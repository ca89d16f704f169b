//! The DataTree against recorded data directories and against a slow, plain model.

mod acl;
mod body;
mod model;
mod quota;
mod random;
mod recorded;
mod shape;
mod walk;
