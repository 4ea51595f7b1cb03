//! Trace events as JSON, in the form that Chrome has given them and Perfetto reads. Called by `story.rs`.

use super::number::Number;

/// An event that is being written, one line of the file.
pub struct Event<'a>(&'a mut Vec<u8>);

impl<'a> Event<'a> {
    /// Begins an event with its head (see [`super::heads`]), at a time.
    #[inline]
    pub fn begin(out: &'a mut Vec<u8>, head: &[u8], time: &Number) -> Self {
        out.extend_from_slice(head);
        time.write(out);
        Self(out)
    }

    /// How long it took, in nanoseconds.
    #[inline]
    pub fn lasting(self, duration: u64) -> Self {
        self.0.extend_from_slice(b",\"dur\":");
        Number::microseconds(duration).write(self.0);
        self
    }

    /// Its name, which is escaped already, where the head has none.
    #[inline]
    pub fn named(self, name: &[u8]) -> Self {
        self.0.extend_from_slice(b",\"name\":\"");
        self.0.extend_from_slice(name);
        self.0.push(b'"');
        self
    }

    /// What it shares with others that belong to it.
    #[inline]
    pub fn identified(self, number: &Number) -> Self {
        self.0.extend_from_slice(b",\"id\":");
        number.write(self.0);
        self
    }

    /// Begins the arguments.
    #[inline]
    pub fn arguments(self) -> Arguments<'a> {
        Arguments { out: self.0, is_first: true }
    }

    /// The event has no arguments.
    #[inline]
    pub fn end(self) {
        self.0.push(b'}');
    }
}

/// The arguments of an event.
pub struct Arguments<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Arguments<'_> {
    #[inline]
    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(if self.is_first { b",\"args\":{\"" } else { b",\"" });
        self.is_first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A text, which is escaped already.
    #[inline]
    pub fn text(mut self, key: &str, text: &[u8]) -> Self {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
        self
    }

    /// A number.
    #[inline]
    pub fn number(mut self, key: &str, number: u64) -> Self {
        self.key(key);
        Number::of(number).write(self.out);
        self
    }

    /// A number, unless it is 0.
    #[inline]
    pub fn count(self, key: &str, number: u64) -> Self {
        if number == 0 { self } else { self.number(key, number) }
    }

    /// The event is complete.
    #[inline]
    pub fn end(self) {
        self.out.extend_from_slice(if self.is_first { b"}" } else { b"}}" });
    }
}

/// A text as it stands between quotes.
pub fn escaped(text: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.into()
}
