//! Trace events as JSON, in the form that Chrome has given them and Perfetto reads. Called by `story.rs`.

/// An event that is being written, one line of the file.
pub struct Event<'a>(&'a mut Vec<u8>);

/// Where events happen, and the text for that.
pub struct Place {
    process: u32,
    thread: u32,
    text: Vec<u8>,
}

impl Place {
    /// A process.
    pub fn new(process: u32) -> Self {
        let mut place = Self { process, thread: process, text: Vec::new() };
        place.write();
        place
    }

    fn write(&mut self) {
        self.text = format!("\",\"pid\":{},\"tid\":{},\"ts\":", self.process, self.thread).into();
    }

    /// The same process, and perhaps another thread.
    #[inline]
    pub fn thread(&mut self, thread: u32) -> &Self {
        if thread != self.thread {
            self.thread = thread;
            self.write();
        }
        self
    }
}

impl<'a> Event<'a> {
    /// Begins an event of a phase (`X`, `b`, `s` and so on), at a time in nanoseconds.
    #[inline]
    pub fn begin(out: &'a mut Vec<u8>, phase: u8, place: &Place, time: u64) -> Self {
        out.extend_from_slice(b",\n{\"ph\":\"");
        out.push(phase);
        out.extend_from_slice(&place.text);
        microseconds(out, time);
        Self(out)
    }

    /// How long it took, in nanoseconds.
    #[inline]
    pub fn lasting(self, duration: u64) -> Self {
        self.0.extend_from_slice(b",\"dur\":");
        microseconds(self.0, duration);
        self
    }

    /// Its category and name; the name is escaped already.
    #[inline]
    pub fn named(self, category: &str, name: &[u8]) -> Self {
        self.0.extend_from_slice(b",\"cat\":\"");
        self.0.extend_from_slice(category.as_bytes());
        self.0.extend_from_slice(b"\",\"name\":\"");
        self.0.extend_from_slice(name);
        self.0.push(b'"');
        self
    }

    /// What it shares with others that belong to it.
    #[inline]
    pub fn identified(self, number: u64) -> Self {
        self.0.extend_from_slice(b",\"id\":");
        decimal(self.0, number);
        self
    }

    /// Members of the event as they stand in the file, each with a comma before it.
    #[inline]
    pub fn with(self, members: &str) -> Self {
        self.0.extend_from_slice(members.as_bytes());
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
        decimal(self.out, number);
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

/// The two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[inline]
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    while number >= 100 {
        first -= 2;
        digits[first..first + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        first -= 2;
        digits[first..first + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        first -= 1;
        digits[first] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[first..]);
}

/// Nanoseconds as microseconds: the unit of the format.
#[inline]
fn microseconds(out: &mut Vec<u8>, nanoseconds: u64) {
    decimal(out, nanoseconds / 1000);
    let rest = nanoseconds % 1000;
    let [tens, ones] = PAIRS[(rest % 100) as usize];
    out.extend_from_slice(&[b'.', b'0' + (rest / 100) as u8, tens, ones]);
}
