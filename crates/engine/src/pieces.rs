//! [`Pieces`]: bytes that were received and not read yet. Used by the reader of streams.
//!
//! A piece that arrives while nothing is there is kept as the object it came in; more pieces are joined.

use std::collections::TryReserveError;

use crate::buffer_pool;

/// Joined content keeps memory up to this many bytes when it is empty.
const KEEP: usize = 16 * 1024;
/// At most as many bytes are made room for before they arrive: how much is expected may have been said by the
/// peer.
const AHEAD: usize = 256 * 1024;

/// One piece, or several joined.
pub struct Pieces<P> {
    /// When this is there, `joined` is empty.
    whole: Option<P>,
    joined: Vec<u8>,
    /// What has been read of either.
    start: usize,
}

impl<P> Default for Pieces<P> {
    fn default() -> Self {
        Self { whole: None, joined: Vec::new(), start: 0 }
    }
}

impl<P: AsRef<[u8]>> Pieces<P> {
    /// All that is there.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        let all = match &self.whole {
            Some(whole) => whole.as_ref(),
            None => &self.joined,
        };
        all.get(self.start..).unwrap_or_default()
    }

    /// Whether nothing is there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Keeps a piece, where nothing is there.
    #[inline]
    pub fn keep(&mut self, piece: P) {
        self.whole = Some(piece);
        self.start = 0;
    }

    /// Appends a copy. `expected` is how much there will be in the end, if that is known.
    pub fn join(&mut self, data: &[u8], expected: usize) -> Result<(), TryReserveError> {
        if let Some(whole) = &self.whole {
            let rest = whole.as_ref().get(self.start..).unwrap_or_default();
            self.joined.try_reserve(rest.len() + data.len())?;
            self.joined.extend_from_slice(rest);
            self.whole = None;
            self.start = 0;
        }
        if self.start > 0 && self.start * 2 > self.joined.len() {
            self.joined.drain(..self.start);
            self.start = 0;
        }
        if self.joined.capacity() == 0 && data.len() > KEEP {
            self.joined = buffer_pool::take();
        }
        let missing = expected.saturating_sub(self.joined.len() - self.start);
        self.joined.try_reserve(missing.min(AHEAD).max(data.len()))?;
        self.joined.extend_from_slice(data);
        Ok(())
    }

    /// Takes the piece that was kept, if it has this many bytes and none of them was read.
    #[inline]
    pub fn take_whole(&mut self, count: usize) -> Option<P> {
        self.whole.take_if(|whole| self.start == 0 && whole.as_ref().len() == count)
    }

    /// The first `count` bytes were read.
    #[inline]
    pub fn discard(&mut self, count: usize) {
        self.start += count;
        match &self.whole {
            Some(whole) if self.start < whole.as_ref().len() => return,
            None if self.start < self.joined.len() => return,
            _ => {}
        }
        self.start = 0;
        self.whole = None;
        self.joined.clear();
        if self.joined.capacity() > KEEP {
            buffer_pool::keep(std::mem::take(&mut self.joined));
        }
    }

    /// Puts back in front what was read and is not wanted after all.
    pub fn put_back(&mut self, data: &[u8]) {
        *self = Self { joined: [data, self.as_slice()].concat(), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_that_is_read_whole_comes_out_as_it_came() {
        let mut pieces = Pieces::default();
        pieces.keep("abc");
        assert_eq!((pieces.take_whole(2), pieces.take_whole(3)), (None, Some("abc")));
        pieces.keep("abc");
        pieces.discard(1);
        assert_eq!((pieces.take_whole(2), pieces.as_slice()), (None, &b"bc"[..]));
        assert_eq!(pieces.join(b"d", 0), Ok(()));
        assert_eq!(pieces.as_slice(), b"bcd");
        pieces.put_back(b"a");
        assert_eq!(pieces.as_slice(), b"abcd");
    }

    proptest! {
        #[test]
        fn what_is_there_is_what_came_and_was_not_read(
            steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), 0_usize..9), 0..50),
        ) {
            let (mut pieces, mut model) = (Pieces::default(), Vec::new());
            for (data, count) in steps {
                model.extend_from_slice(&data);
                if pieces.is_empty() && data.len() % 2 == 1 {
                    pieces.keep(data);
                } else {
                    prop_assert_eq!(pieces.join(&data, 0), Ok(()));
                }
                let count = count.min(model.len());
                match pieces.take_whole(count) {
                    Some(whole) => prop_assert_eq!(&whole, &model),
                    None => pieces.discard(count),
                }
                model.drain(..count);
                prop_assert_eq!(pieces.as_slice(), &model);
            }
        }
    }
}
