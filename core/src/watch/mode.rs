//! Kinds of watches, and sets of them.

/// What a connection watches a path for (7.1). All kinds of one connection at one path coexist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchMode {
    /// One-shot in the data table: getData, exists.
    Data,
    /// One-shot in the child table: getChildren.
    Child,
    /// In both tables until removed.
    Persistent,
    /// In the data table until removed, for the path and everything below it.
    Recursive,
}

/// What checkWatches and removeWatches ask for (7.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum WatcherType {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

impl WatcherType {
    /// The type with this number on the wire.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            1 => Self::Children,
            2 => Self::Data,
            3 => Self::Any,
            4 => Self::Persistent,
            5 => Self::Recursive,
            _ => return None,
        })
    }
}

/// A set of modes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) const DATA: Self = Self(1);
    pub(super) const CHILD: Self = Self(2);
    pub(super) const PERSISTENT: Self = Self(4);
    pub(super) const RECURSIVE: Self = Self(8);
    /// Those that the data table holds.
    pub(super) const DATA_TABLE: Self = Self(1 | 4 | 8);
    /// Those that the child table holds.
    pub(super) const CHILD_TABLE: Self = Self(2 | 4);

    pub(super) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
    pub(super) const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }
    pub(super) const fn without(self, less: Self) -> Self {
        Self(self.0 & !less.0)
    }
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<WatchMode> for Modes {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Data => Self::DATA,
            WatchMode::Child => Self::CHILD,
            WatchMode::Persistent => Self::PERSISTENT,
            WatchMode::Recursive => Self::RECURSIVE,
        }
    }
}

impl From<WatcherType> for Modes {
    fn from(kind: WatcherType) -> Self {
        match kind {
            WatcherType::Children => Self::CHILD,
            WatcherType::Data => Self::DATA,
            WatcherType::Any => Self(15),
            WatcherType::Persistent => Self::PERSISTENT,
            WatcherType::Recursive => Self::RECURSIVE,
        }
    }
}
