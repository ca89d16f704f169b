//! A slab that shows what is in it.

use core::fmt;
use core::ops::{Deref, DerefMut};

use slab::Slab;

/// As a [`Slab`], whose `Debug` shows length and capacity only: the exhaustive search of `sim` tells Peers apart by all that they
/// show. Which place is taken next is not shown: with one client, as there, it decides nothing.
#[derive(Clone)]
pub(crate) struct Slots<T>(Slab<T>);

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self(Slab::new())
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Slots<T> {
    type Target = Slab<T>;
    fn deref(&self) -> &Slab<T> {
        &self.0
    }
}

impl<T> DerefMut for Slots<T> {
    fn deref_mut(&mut self) -> &mut Slab<T> {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}
