//! Places in a file: lengths in, offsets out; what is given back is given out again.

use std::collections::BTreeMap;

/// A part of a file, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins.
    pub(super) start: u64,
    /// How long it is.
    pub(super) len: u64,
}

/// The free parts of a file that grows when they do not suffice.
#[derive(Debug, Default)]
pub(super) struct Extents {
    /// Free parts by their start; no two touch, none ends at `end`.
    free: BTreeMap<u64, u64>,
    /// Where the used part of the file ends.
    end: u64,
}

// === impl Extents ===

impl Extents {
    /// The first free part that is long enough, or one at the end.
    pub(super) fn allocate(&mut self, len: u64) -> Extent {
        let found = self.free.iter().find(|&(_, &free)| len <= free).map(|(&start, &free)| (start, free));
        let Some((start, free)) = found else {
            let start = self.end;
            self.end += len;
            return Extent { start, len };
        };
        self.free.remove(&start);
        if len < free {
            self.free.insert(start + len, free - len);
        }
        Extent { start, len }
    }

    /// Gives a part back. It joins the free ones that it touches; what is free at the end is the file's no more.
    pub(super) fn release(&mut self, Extent { mut start, mut len }: Extent) {
        if let Some((&before, &free)) = self.free.range(..start).next_back()
            && before + free == start
        {
            self.free.remove(&before);
            (start, len) = (before, len + free);
        }
        if let Some(free) = self.free.remove(&(start + len)) {
            len += free;
        }
        if start + len == self.end {
            self.end = start;
        } else {
            self.free.insert(start, len);
        }
    }

    /// Where the used part ends: what the file needs to hold.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_given_back_is_given_out_again() {
        let mut extents = Extents::default();
        let [a, b, c] = [10, 20, 30].map(|len| extents.allocate(len));
        assert_eq!((a.start, b.start, c.start, extents.end()), (0, 10, 30, 60));
        extents.release(a);
        extents.release(b);
        assert_eq!(extents.allocate(25).start, 0, "two that touch are one");
        assert_eq!(extents.allocate(6).start, 60, "only 5 are free before");
        extents.release(Extent { start: 60, len: 6 });
        extents.release(c);
        assert_eq!(extents.end(), 25, "nothing is kept behind the last used part");
    }

    proptest! {
        #[test]
        fn parts_in_use_never_overlap(steps in proptest::collection::vec((1_u64..50, any::<bool>(), any::<prop::sample::Index>()), 1..80)) {
            let mut extents = Extents::default();
            let mut used: Vec<Extent> = Vec::new();
            for (len, gives_back, which) in steps {
                if gives_back && !used.is_empty() {
                    extents.release(used.swap_remove(which.index(used.len())));
                } else {
                    used.push(extents.allocate(len));
                }
                used.sort_by_key(|extent| extent.start);
                prop_assert!(used.windows(2).all(|pair| pair[0].start + pair[0].len <= pair[1].start));
                prop_assert_eq!(used.last().map_or(0, |last| last.start + last.len), extents.end());
            }
        }
    }
}
