//! Looking for an instant in what happened, from its end: what is asked for is seldom old.

use std::collections::VecDeque;

/// Where the first one stands that is not `old`; all behind it are not, either.
pub(crate) fn after<T>(past: &VecDeque<T>, old: impl Fn(&T) -> bool) -> usize {
    let (mut end, mut step) = (past.len(), 1);
    while let Some(i) = end.checked_sub(step).filter(|i| !old(&past[*i])) {
        (end, step) = (i, step * 2);
    }
    let mut start = end.saturating_sub(step);
    while start < end {
        let middle = start.midpoint(end);
        if old(&past[middle]) { start = middle + 1 } else { end = middle }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_a_plain_search_finds() {
        for len in 0..40_u32 {
            let past: VecDeque<u32> = (0..len).map(|n| n / 3).collect();
            for at in 0..15 {
                assert_eq!(after(&past, |n| *n <= at), past.partition_point(|n| *n <= at), "{len} {at}");
            }
        }
    }
}
