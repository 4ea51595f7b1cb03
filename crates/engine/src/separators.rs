//! The search for the separator at the end of a message, in bytes that arrive in pieces.
//!
//! A [`Search`] remembers how far it has searched, so that no byte of a long message in many pieces is
//! searched twice. Called by yibu-python's streams, for each piece as it arrives; calls nothing of yibu.

use memchr::{memchr, memmem};

/// The result of a search in the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A separator, from `start` to `end`.
    At {
        /// Where it begins.
        start: usize,
        /// Where the message with it ends.
        end: usize,
    },
    /// No separator, and this many bytes cannot be part of one.
    Nothing(usize),
}

/// The longest separator that is stored without an allocation.
pub const SHORT: usize = 15;

/// After so many first bytes of a separator without the rest of it, a `memmem` searcher is made.
const SIGNS: usize = 8;

/// The separators that end a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Separators {
    /// A line feed.
    LineFeed,
    /// One short sequence, not empty: the first `len` of `bytes`.
    Short {
        /// How many bytes it has.
        len: u8,
        /// The sequence, and zeros.
        bytes: [u8; SHORT],
    },
    /// One sequence, not empty.
    One(Box<[u8]>),
    /// Several, shortest first, none empty.
    Several(Vec<Box<[u8]>>),
}

impl Separators {
    /// `None` when there is none, or an empty one.
    pub fn new(mut separators: Vec<Box<[u8]>>) -> Option<Self> {
        // Stable: of two with the same length the one named first counts.
        separators.sort_by_key(|separator| separator.len());
        if separators.first()?.is_empty() {
            return None;
        }
        if separators.len() > 1 {
            return Some(Self::Several(separators));
        }
        let separator = separators.pop()?;
        Some(Self::short(&separator).unwrap_or(Self::One(separator)))
    }

    /// One separator, stored without an allocation; `None` when it is empty or too long for that.
    #[inline]
    pub fn short(separator: &[u8]) -> Option<Self> {
        match separator {
            [] => None,
            b"\n" => Some(Self::LineFeed),
            short if short.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..short.len()].copy_from_slice(short);
                Some(Self::Short { len: short.len() as u8, bytes })
            }
            _ => None,
        }
    }

    fn shortest(&self) -> usize {
        match self {
            Self::LineFeed => 1,
            Self::Short { len, .. } => usize::from(*len),
            Self::One(one) => one.len(),
            Self::Several(all) => all.first().map_or(1, |first| first.len()),
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::LineFeed => 1,
            Self::Short { len, .. } => usize::from(*len),
            Self::One(one) => one.len(),
            Self::Several(all) => all.last().map_or(1, |last| last.len()),
        }
    }

    /// The message that ends first, in `bytes` from `offset` on: where its separator begins and ends.
    fn find(&self, bytes: &[u8], offset: usize) -> Option<(usize, usize)> {
        let rest = bytes.get(offset..)?;
        let one = |separator: &[u8]| {
            let start = position(separator, rest)?;
            Some((offset + start, offset + start + separator.len()))
        };
        match self {
            Self::LineFeed => one(b"\n"),
            Self::Short { len, bytes } => one(bytes.get(..usize::from(*len))?),
            Self::One(separator) => one(separator),
            // The shorter one comes first and wins where both end together, as `min_by_key` gives the first
            // of equals.
            Self::Several(all) => {
                all.iter().filter_map(|separator| one(separator)).min_by_key(|(_, end)| *end)
            }
        }
    }
}

/// Where a separator first begins in `bytes`.
#[inline]
fn position(separator: &[u8], bytes: &[u8]) -> Option<usize> {
    let (first, more) = separator.split_first()?;
    // A searcher costs more to make than most messages to look through, and the first byte of a separator is
    // rare in them.
    let mut from = 0;
    for _ in 0..SIGNS {
        let start = from + memchr(*first, bytes.get(from..)?)?;
        from = start + 1;
        if bytes.get(from..)?.starts_with(more) {
            return Some(start);
        }
    }
    memmem::find(bytes.get(from..)?, separator).map(|start| from + start)
}

/// The state of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    separators: Separators,
    /// No separator begins before this.
    offset: usize,
}

impl Search {
    /// A search that begins.
    pub fn new(separators: Separators) -> Self {
        Self { separators, offset: 0 }
    }

    /// Begins again, for other bytes.
    pub fn restart(&mut self) {
        self.offset = 0;
    }

    /// Searches all bytes so far: those of the last call and the bytes that arrived after them.
    #[inline]
    pub fn search(&mut self, bytes: &[u8]) -> Found {
        if bytes.len().saturating_sub(self.offset) < self.separators.shortest() {
            return Found::Nothing(self.offset);
        }
        if let Some((start, end)) = self.separators.find(bytes, self.offset) {
            // The next call finds this separator at once.
            self.offset = start;
            return Found::At { start, end };
        }
        // The last bytes may be the beginning of a separator.
        self.offset = (bytes.len() + 1).saturating_sub(self.separators.longest());
        Found::Nothing(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(separators: &[&[u8]]) -> Search {
        let separators = separators.iter().map(|separator| Box::from(*separator)).collect();
        Search::new(Separators::new(separators).expect("not empty"))
    }

    #[test]
    fn nothing_ends_a_message_without_separators_or_with_an_empty_one() {
        assert_eq!(Separators::new(vec![]), None);
        assert_eq!(Separators::new(vec![Box::from(*b"x"), Box::from(*b"")]), None);
    }

    #[test]
    fn the_shorter_of_two_that_end_together_is_found() {
        assert_eq!(search(&[b"\r\n", b"\n"]).search(b"a\r\n"), Found::At { start: 2, end: 3 });
    }

    #[test]
    fn the_message_that_ends_first_is_found() {
        assert_eq!(search(&[b"c", b"ab"]).search(b"xabc"), Found::At { start: 1, end: 3 });
    }

    proptest! {
        /// Separators of every length, also behind more false signs than are looked at one by one.
        #[test]
        fn the_first_of_all_is_found(
            bytes in proptest::collection::vec(0_u8..2, 0..200),
            separator in proptest::collection::vec(0_u8..2, 1..20),
        ) {
            let first = bytes.windows(separator.len()).position(|window| window == separator);
            prop_assert_eq!(position(&separator, &bytes), first);
            let found = first.map(|start| (start, start + separator.len()));
            let separators = Separators::new(vec![separator.clone().into()]).expect("not empty");
            prop_assert_eq!(separators.find(&bytes, 0), found);
        }

        /// In pieces or at once, the same message is found, and it is the shortest.
        #[test]
        fn pieces_make_no_difference(
            bytes in proptest::collection::vec(0_u8..3, 0..40),
            separators in proptest::collection::vec(proptest::collection::vec(0_u8..3, 1..4), 1..4),
            cuts in proptest::collection::vec(0_usize..40, 0..6),
        ) {
            let separators: Vec<Box<[u8]>> = separators.into_iter().map(Vec::into_boxed_slice).collect();
            let shortest = (0..=bytes.len())
                .find(|end| separators.iter().any(|separator| bytes[..*end].ends_with(separator)));
            let mut search = Search::new(Separators::new(separators).expect("not empty"));
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let found = cuts.into_iter().find_map(|cut| match search.search(&bytes[..cut]) {
                Found::At { end, .. } => Some((cut, end)),
                Found::Nothing(_) => None,
            });
            prop_assert_eq!(found.map(|(_, end)| end), shortest);
            if let Some((cut, end)) = found {
                let again = search.search(&bytes[..cut]);
                let found_again = matches!(again, Found::At { end: other, .. } if other == end);
                prop_assert!(found_again, "{again:?} instead of {end}");
            }
        }
    }
}
