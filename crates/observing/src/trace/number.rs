//! [`Number`]: a number as text, made once and written as often as it is needed. Called by `json.rs` and
//! `story.rs`.
//!
//! Most of what a trace says is times, so this is what its text costs. Digits are made three at a time, by a
//! table.

/// The three digits of each number below a thousand, and how many of them are zeros in front.
const TRIPLES: [[u8; 4]; 1000] = {
    let mut triples = [[b'0'; 4]; 1000];
    let mut number = 0;
    while number < 1000 {
        let zeros = (number < 100) as u8 + (number < 10) as u8;
        let digits = [number / 100, number / 10 % 10, number % 10];
        triples[number] = [b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8, zeros];
        number += 1;
    }
    triples
};

/// As long as the longest text: 20 digits, and a byte that a triple writes behind its own.
const LENGTH: usize = 24;

/// A number in decimal digits.
pub struct Number {
    /// Always written as a whole, which is cheaper than a copy of as much as is needed.
    text: [u8; LENGTH],
    length: usize,
}

impl Number {
    const EMPTY: Self = Self { text: [0; LENGTH], length: 0 };

    /// A whole number.
    #[inline]
    pub fn of(number: u64) -> Self {
        let mut text = Self::EMPTY;
        text.push(number);
        text
    }

    /// Nanoseconds as microseconds: the unit of the format.
    #[inline]
    pub fn microseconds(nanoseconds: u64) -> Self {
        let mut text = Self::EMPTY;
        text.push(nanoseconds / 1000);
        text.text[text.length] = b'.';
        text.length += 1;
        text.push_triple(nanoseconds % 1000);
        text
    }

    #[inline]
    fn push(&mut self, number: u64) {
        match number {
            0..1000 => self.push_first(number),
            1000..1_000_000 => {
                self.push_first(number / 1000);
                self.push_triple(number % 1000);
            }
            1_000_000.. => self.push_large(number),
        }
    }

    fn push_large(&mut self, number: u64) {
        self.push(number / 1_000_000);
        self.push_triple(number / 1000 % 1000);
        self.push_triple(number % 1000);
    }

    /// Less than a thousand, without zeros in front.
    #[inline]
    fn push_first(&mut self, number: u64) {
        let [.., zeros] = TRIPLES[number as usize];
        let digits = u32::from_le_bytes(TRIPLES[number as usize]) >> (8 * u32::from(zeros));
        self.put(digits.to_le_bytes(), 3 - usize::from(zeros));
    }

    /// Less than a thousand, with zeros in front.
    #[inline]
    fn push_triple(&mut self, number: u64) {
        self.put(TRIPLES[number as usize], 3);
    }

    #[inline]
    fn put(&mut self, bytes: [u8; 4], length: usize) {
        self.text[self.length..self.length + 4].copy_from_slice(&bytes);
        self.length += length;
    }

    /// Writes the number behind `out`.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
        out.truncate(out.len() - (LENGTH - self.length));
    }
}
