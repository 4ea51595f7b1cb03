//! [`Ring`]: where a trace keeps what has happened until its writer has taken it.
//!
//! A record is eight words; a text goes on in the words of further records. One thread at a time may push: in
//! yibu the one that holds the interpreter. Another thread takes the records, without a lock. When the ring
//! is full, records are lost and counted.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// How many words a record has.
pub const WORDS: usize = 8;

/// One record. The low byte of the first word is its [`Kind`].
pub type Record = [u64; WORDS];

/// How many words of the first record are in front of a text.
const BEFORE_TEXT: usize = 4;

/// The longest text, in bytes; longer ones are cut.
const LONGEST: usize = 224;

/// The most records that a text takes.
const RECORDS: usize = 1 + (LONGEST - (WORDS - BEFORE_TEXT) * 8).div_ceil(WORDS * 8);

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The number of a name, and the name.
    Name = 1,
    /// A task that was not seen before: its number, that of its function's name, since when it is there, the
    /// thread, and its name.
    Task = 2,
    /// The number of a thread, and its name.
    Thread = 3,
    /// A step: see [`super::Step`].
    Step = 4,
    /// The loop waited for something to do: from, until, thread.
    Idle = 5,
    /// A thread has done a job: from, until, thread and name, key.
    Job = 6,
    /// Something will run because of this moment: time, thread, key, and 1 where the moment is to be shown.
    Cause = 7,
    /// So many records were lost in front of this one; the time.
    Lost = 8,
}

impl Kind {
    /// The kind of a record.
    #[inline]
    pub const fn of(word: u64) -> Option<Self> {
        Some(match word & 0xff {
            1 => Self::Name,
            2 => Self::Task,
            3 => Self::Thread,
            4 => Self::Step,
            5 => Self::Idle,
            6 => Self::Job,
            7 => Self::Cause,
            8 => Self::Lost,
            _ => return None,
        })
    }
}

/// Two halves as a word.
#[inline]
pub const fn halves(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The name of what has none.
pub const NO_NAME: u32 = 0;
/// The name of what there are too many of.
pub const OTHER_NAME: u32 = 1;

/// The time in nanoseconds of the kernel's monotonic clock.
#[inline]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Records that were not taken yet.
pub struct Ring {
    words: Box<[AtomicU64]>,
    /// How many records were written, and how many of them the reader has taken.
    written: AtomicU64,
    taken: AtomicU64,
    /// How many were lost, and how many of them the ring tells of.
    lost: AtomicU64,
    told: AtomicU64,
}

impl Ring {
    /// Room for so many records, rounded up.
    pub fn new(records: usize) -> Self {
        let records = records.clamp(16, 1 << 24).next_power_of_two();
        Self {
            words: (0..records * WORDS).map(|_| AtomicU64::new(0)).collect(),
            written: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    fn capacity(&self) -> u64 {
        (self.words.len() / WORDS) as u64
    }

    fn put(&self, place: u64, record: &Record) {
        let first = (place & (self.capacity() - 1)) as usize * WORDS;
        for (cell, word) in self.words[first..first + WORDS].iter().zip(record) {
            cell.store(*word, Ordering::Relaxed);
        }
    }

    /// Writes records that belong together; whether there was room for them.
    #[inline]
    pub fn push(&self, records: &[Record]) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        let (lost, told) = (self.lost.load(Ordering::Relaxed), self.told.load(Ordering::Relaxed));
        let tells = u64::from(lost != told);
        let room = self.capacity() - (written - self.taken.load(Ordering::Acquire));
        if room < records.len() as u64 + tells {
            self.lost.store(lost + 1, Ordering::Relaxed);
            return false;
        }
        if tells != 0 {
            self.told.store(lost, Ordering::Relaxed);
            self.put(written, &[Kind::Lost as u64, lost - told, now(), 0, 0, 0, 0, 0]);
        }
        for (place, record) in (written + tells..).zip(records) {
            self.put(place, record);
        }
        self.written.store(written + tells + records.len() as u64, Ordering::Release);
        true
    }

    /// Writes a record with a text behind its first words.
    pub fn push_text(&self, kind: Kind, head: [u64; 3], text: &str) -> bool {
        let end = (0..=LONGEST.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let text = &text.as_bytes()[..end];
        let mut records = [[0; WORDS]; RECORDS];
        let words = records.as_flattened_mut();
        words[0] = kind as u64 | (text.len() as u64) << 8;
        words[1..BEFORE_TEXT].copy_from_slice(&head);
        for (word, bytes) in words[BEFORE_TEXT..].iter_mut().zip(text.chunks(8)) {
            *word = u64::from_le_bytes(array::from_fn(|index| bytes.get(index).copied().unwrap_or(0)));
        }
        self.push(&records[..records_of(text.len())])
    }

    /// Takes the records that are there, each with the text that it may have.
    pub fn take(&self, mut take: impl FnMut(&Record, &[u8])) {
        let written = self.written.load(Ordering::Acquire);
        let mut place = self.taken.load(Ordering::Relaxed);
        let mut told = place;
        let mut text = [0; (WORDS * RECORDS - BEFORE_TEXT) * 8];
        while place < written {
            let record = self.at(place);
            let has_text = matches!(Kind::of(record[0]), Some(Kind::Name | Kind::Task | Kind::Thread));
            let length = if has_text { (record[0] >> 8 & 0xff) as usize } else { 0 };
            let records = if has_text { records_of(length) as u64 } else { 1 };
            if has_text {
                let words = (place..place + records).flat_map(|place| self.at(place)).skip(BEFORE_TEXT);
                for (bytes, word) in text.chunks_exact_mut(8).zip(words) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
            }
            take(&record, &text[..length]);
            place += records;
            // Who writes has to read this again whenever it changes.
            if place - told >= self.capacity() / 16 {
                self.taken.store(place, Ordering::Release);
                told = place;
            }
        }
        self.taken.store(place, Ordering::Release);
    }

    /// The record at a place.
    #[inline]
    fn at(&self, place: u64) -> Record {
        let first = (place & (self.capacity() - 1)) as usize * WORDS;
        let cells = &self.words[first..first + WORDS];
        array::from_fn(|index| cells[index].load(Ordering::Relaxed))
    }

    /// How many records were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many of the lost records no record tells of yet.
    pub fn untold(&self) -> u64 {
        self.lost().saturating_sub(self.told.load(Ordering::Relaxed))
    }
}

/// How many records a text of this length takes, with what is before it.
fn records_of(length: usize) -> usize {
    1 + length.saturating_sub((WORDS - BEFORE_TEXT) * 8).div_ceil(WORDS * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Record = [Kind::Step as u64, 1, 2, 3, 4, 5, 6, 7];

    fn taken(ring: &Ring) -> Vec<(Record, String)> {
        let mut found = Vec::new();
        ring.take(|record, text| found.push((*record, String::from_utf8_lossy(text).into_owned())));
        found
    }

    #[test]
    fn records_and_texts_come_out_as_they_went_in() {
        let ring = Ring::new(16);
        for round in 0..20_u64 {
            let text = "ä".repeat(round as usize * 3);
            assert!(ring.push_text(Kind::Task, [round, 2, 3], &text));
            assert!(ring.push(&[STEP]));
            let found = taken(&ring);
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].0[1], &found[0].1), (round, &text));
            assert_eq!(found[1], (STEP, String::new()));
        }
        assert_eq!(ring.lost(), 0);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let ring = Ring::new(16);
        assert!(ring.push_text(Kind::Name, [1, 0, 0], &format!("x{}", "ä".repeat(200))));
        assert_eq!(taken(&ring)[0].1, format!("x{}", "ä".repeat(111)));
    }

    #[test]
    fn a_full_ring_counts_what_it_loses_and_tells_it_later() {
        let ring = Ring::new(16);
        assert!((0..16).all(|_| ring.push(&[STEP])));
        assert!(!ring.push(&[STEP]) && !ring.push_text(Kind::Name, [1, 0, 0], "name"));
        assert_eq!((ring.lost(), ring.untold()), (2, 2));
        assert_eq!(taken(&ring).len(), 16);
        assert!(ring.push(&[STEP]));
        let found = taken(&ring);
        assert_eq!((found[0].0[0], found[0].0[1]), (Kind::Lost as u64, 2));
        assert_eq!((found[1].0, ring.untold()), (STEP, 0));
    }
}
