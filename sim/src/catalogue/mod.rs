//! The known bugs (simulation-catalogue section 4): which of them this design can express, and what must catch each.
//!
//! A row that applies is planted in `core` under the same id ([`quorate_core::mutant::Mutant`]); the fuzzer has to kill it.

mod classical;
mod own;
mod pipeline;
mod sync;
mod tree;
mod wider;

pub use wider::{WIDER, Wider};

/// Whether this design can express a bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// The same mistake.
    AsIs,
    /// The nearest mistake that this design can express; [`Row::mutation`] says which.
    Variant,
    /// Structurally impossible, for this reason.
    Absent(&'static str),
    /// It needs something that is not built yet.
    Later(&'static str),
}

/// One known bug.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Of the catalogue: `B…` for bugs of the field's history, `K…` for the textbook's, `Q…` for those that our own
    /// seeds have found.
    pub id: &'static str,
    /// Where it is known from; letters tell the evidence (d diff, c commit, p pull request, j report, s source, u unverified).
    pub source: &'static str,
    /// What the switch does here, or, for a row that does not apply, what the mistake was.
    pub mutation: &'static str,
    /// Whether it is here.
    pub applies: Applies,
    /// Ids of the invariants that it breaks; where these are more than the catalogue names, [`WIDER`] says why.
    pub violates: &'static [&'static str],
}

impl Row {
    /// Whether it is planted.
    #[must_use]
    pub const fn is_planted(&self) -> bool {
        matches!(self.applies, Applies::AsIs | Applies::Variant)
    }
}

/// All rows, in the catalogue's order.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [sync::ROWS, pipeline::ROWS, tree::ROWS, classical::ROWS, own::ROWS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use quorate_core::mutant::Mutant;

    use super::rows;

    #[test]
    fn what_is_planted_is_what_the_table_says() {
        let table: Vec<&str> = rows().filter(|r| r.is_planted()).map(|r| r.id).collect();
        let planted: Vec<&str> = Mutant::ALL.iter().map(|(id, _)| *id).collect();
        assert_eq!(table, planted);
        assert!(rows().all(|r| !r.is_planted() || !r.violates.is_empty()));
    }
}
