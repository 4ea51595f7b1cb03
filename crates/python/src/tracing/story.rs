//! [`Story`]: makes trace events of records: tracks of tasks, what each waits for, arrows from causes to what they have caused.
//!
//! Works without the interpreter, in the thread of the writer. What it keeps is bounded: names, living tasks, and causes that have
//! had no effect yet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::json::{Event, Place, escaped};
use crate::core::naming::{NONE, OTHER};
use crate::core::recording::{Kind, Record};
use crate::core::traced::Readiness;

/// At most so many tasks have tracks of their own at a time.
const TASKS: usize = 1 << 20;

/// At most so many causes are kept that have had no effect.
const CAUSES: usize = 1 << 16;

/// Whole numbers as they come: they are counted upwards, or are addresses.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// A task with a track.
struct Track {
    name: Box<[u8]>,
    function: u32,
    /// The name of what it waits for.
    waits_for: u32,
    thread: u32,
}

/// What was told so far.
pub struct Story {
    /// The time that the file counts from.
    zero: u64,
    place: Place,
    /// The text of the file that is still to be written.
    pub out: Vec<u8>,
    names: Vec<Box<[u8]>>,
    tasks: Map<u32, Track>,
    causes: Map<u64, (u64, u32)>,
    arrows: u64,
    latest: u64,
    /// How many trace events there are.
    pub events: u64,
}

const fn low(word: u64) -> u32 {
    word as u32
}

const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

impl Story {
    /// The beginning of the file.
    pub fn begin(process: u32, program: &str, zero: u64) -> Self {
        let mut out = Vec::with_capacity(1 << 17);
        let program = String::from_utf8_lossy(&escaped(program)).into_owned();
        out.extend_from_slice(
            format!(
                "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{{\"ph\":\"M\",\"pid\":{process},\"tid\":{process},\"name\":\"process_name\",\"args\":{{\"name\":\"{program}\"}}}}"
            )
            .as_bytes(),
        );
        let names = vec![escaped("?"), escaped("(other)")];
        let (tasks, causes) = (Map::default(), Map::default());
        let place = Place::new(process);
        Self { zero, place, out, names, tasks, causes, arrows: 0, latest: 0, events: 0 }
    }

    /// One more record, with its text if it has one.
    pub fn tell(&mut self, record: &Record, text: &[u8]) {
        match Kind::of(record[0]) {
            Some(Kind::Name) => self.learn(low(record[1]), text),
            Some(Kind::Task) => self.begin_task(record, text),
            Some(Kind::Thread) => self.name_thread(low(record[1]), text),
            Some(Kind::Step) => self.step(record),
            Some(Kind::Idle) => {
                let (begun, ended) = (self.since(record[1]), self.since(record[2]));
                let event = Event::begin(&mut self.out, b'X', self.place.thread(low(record[3])), begun);
                event.lasting(ended.saturating_sub(begun)).named("idle", b"idle").end();
                self.events += 1;
            }
            Some(Kind::Job) => self.job(record),
            Some(Kind::Cause) => self.cause(record),
            Some(Kind::Lost) => self.lose(record[1], record[2]),
            None => {}
        }
    }

    /// A time as the file has it.
    const fn since(&self, time: u64) -> u64 {
        time.saturating_sub(self.zero)
    }

    fn learn(&mut self, number: u32, text: &[u8]) {
        let number = number as usize;
        if self.names.len() <= number {
            self.names.resize_with(number + 1, || b"?"[..].into());
        }
        self.names[number] = escaped(&String::from_utf8_lossy(text));
    }

    fn name_thread(&mut self, thread: u32, text: &[u8]) {
        let name = escaped(&String::from_utf8_lossy(text));
        let event =
            Event::begin(&mut self.out, b'M', self.place.thread(thread), 0).named("thread", b"thread_name");
        event.arguments().text("name", &name).end();
    }

    fn begin_task(&mut self, record: &Record, text: &[u8]) {
        let (number, function, thread) = (low(record[1]), high(record[1]), low(record[3]));
        let name = escaped(&String::from_utf8_lossy(text));
        if self.tasks.len() >= TASKS {
            return;
        }
        let begun = self.since(record[2]);
        let event = Event::begin(&mut self.out, b'b', self.place.thread(thread), begun);
        let event = event.named("task", &name).identified(number.into());
        event.arguments().text("function", name_in(&self.names, function)).end();
        self.events += 1;
        self.tasks.insert(number, Track { name, function, waits_for: NONE, thread });
    }

    fn step(&mut self, record: &Record) {
        let [flags, begun, ended, subject, cause, at, moved, waits_for] = *record;
        let (task, name, thread) = (low(subject), high(subject), low(at));
        let (begun, ended) = (self.since(begun), self.since(ended));
        self.latest = ended;
        self.arrow(cause, flags >> 24 & 0xff != 0, thread, begun);
        let (out, place) = (&mut self.out, self.place.thread(thread));
        let track = self.tasks.get_mut(&task);
        if let Some(track) = &track
            && track.waits_for != NONE
        {
            end_wait(out, &self.names, place, task, track.waits_for, begun);
            self.events += 1;
        }
        let event = Event::begin(out, b'X', place, begun).lasting(ended.saturating_sub(begun));
        let readiness = (flags >> 16 & 0xff) as u8;
        let mut arguments = match &track {
            Some(track) => {
                let event = event.named("task", name_in(&self.names, track.function));
                event.arguments().text("task", &track.name)
            }
            None if task != 0 => event.named("task", b"task").arguments(),
            None => match word(readiness) {
                Some(word) => {
                    let event = event.named("io", word.as_bytes());
                    event.arguments().number("fd", high(at).into())
                }
                None => event.named("callback", name_in(&self.names, name)).arguments(),
            },
        };
        arguments = arguments.count("received", low(moved).into()).count("sent", high(moved).into());
        arguments.count("accepted", flags >> 32 & 0xff).end();
        self.events += 1;
        let Some(track) = track else { return };
        track.waits_for = low(waits_for);
        if track.waits_for != NONE {
            let event = Event::begin(out, b'b', place, ended);
            event.named("task", name_in(&self.names, track.waits_for)).identified(task.into()).end();
            self.events += 1;
        }
        let ending = match flags >> 8 & 0xff {
            1 => "finished",
            2 => "failed",
            3 => "cancelled",
            _ => return,
        };
        if let Some(track) = self.tasks.remove(&task) {
            end_task(out, place, task, &track.name, ended, ending);
            self.events += 1;
        }
    }

    /// An arrow to what begins at `time`, from its cause.
    fn arrow(&mut self, cause: u64, is_key: bool, thread: u32, time: u64) {
        let from = match is_key {
            true => self.causes.remove(&cause),
            false => (cause != 0).then_some((cause, thread)),
        };
        let Some((moment, origin)) = from else { return };
        let moment = self.since(moment);
        self.arrows += 1;
        let event = Event::begin(&mut self.out, b's', self.place.thread(origin), moment.min(time));
        event.named("wake", b"wakes").identified(self.arrows).end();
        let event = Event::begin(&mut self.out, b'f', self.place.thread(thread), time);
        event.named("wake", b"wakes").with(",\"bp\":\"e\"").identified(self.arrows).end();
        self.events += 2;
    }

    fn job(&mut self, record: &Record) {
        let [_, begun, ended, subject, key, ..] = *record;
        let (thread, last) = (low(subject), ended.saturating_sub(1));
        let (begun, ended) = (self.since(begun), self.since(ended));
        self.arrow(key, true, thread, begun);
        self.remember(key, last, thread);
        let event = Event::begin(&mut self.out, b'X', self.place.thread(thread), begun);
        event.lasting(ended.saturating_sub(begun)).named("job", name_in(&self.names, high(subject))).end();
        self.events += 1;
    }

    fn cause(&mut self, record: &Record) {
        let [_, time, thread, key, shown, ..] = *record;
        if shown != 0 {
            let since = self.since(time);
            let event = Event::begin(&mut self.out, b'X', self.place.thread(low(thread)), since);
            event.lasting(1).named("thread", b"call_soon_threadsafe").end();
            self.events += 1;
        }
        self.remember(key, time, low(thread));
    }

    fn remember(&mut self, key: u64, time: u64, thread: u32) {
        if self.causes.len() >= CAUSES {
            // Handles and jobs that were cancelled are never run.
            self.causes.clear();
        }
        self.causes.insert(key, (time, thread));
    }

    /// Records are missing here: what an address stood for may be something else by now.
    fn lose(&mut self, count: u64, time: u64) {
        self.causes.clear();
        let time = self.since(time);
        let event = Event::begin(&mut self.out, b'i', &self.place, time);
        let event = event.named("lost", b"events lost").with(",\"s\":\"p\"");
        event.arguments().number("count", count).end();
        self.events += 1;
    }

    /// The end of the file: nothing stays open. `untold` of the `lost` records were the last ones.
    pub fn end(&mut self, lost: u64, untold: u64, time: u64) {
        if untold > 0 {
            self.lose(untold, time);
        }
        let time = self.since(time).max(self.latest);
        let mut tasks: Vec<_> = self.tasks.drain().collect();
        tasks.sort_unstable_by_key(|(number, _)| *number);
        for (number, track) in tasks {
            let place = self.place.thread(track.thread);
            if track.waits_for != NONE {
                end_wait(&mut self.out, &self.names, place, number, track.waits_for, time);
            }
            end_task(&mut self.out, place, number, &track.name, time, "not ended");
        }
        let end = format!(
            "\n],\"otherData\":{{\"recorded by\":\"yibu.trace\",\"lost events\":{lost},\"zero of CLOCK_MONOTONIC in ns\":{}}}}}\n",
            self.zero
        );
        self.out.extend_from_slice(end.as_bytes());
    }
}

/// A name by its number.
fn name_in(names: &[Box<[u8]>], number: u32) -> &[u8] {
    names.get(number as usize).or_else(|| names.get(OTHER as usize)).map_or(b"?", |name| name)
}

fn end_wait(out: &mut Vec<u8>, names: &[Box<[u8]>], place: &Place, task: u32, waits_for: u32, time: u64) {
    let event = Event::begin(out, b'e', place, time);
    event.named("task", name_in(names, waits_for)).identified(task.into()).end();
}

fn end_task(out: &mut Vec<u8>, place: &Place, task: u32, name: &[u8], time: u64, ending: &str) {
    let event = Event::begin(out, b'e', place, time).named("task", name).identified(task.into());
    event.arguments().text("ended", ending.as_bytes()).end();
}

/// What the kernel has reported.
const fn word(readiness: u8) -> Option<&'static str> {
    const READABLE: u8 = Readiness::Readable as u8;
    const WRITABLE: u8 = Readiness::Writable as u8;
    const ACCEPTS: u8 = Readiness::Accepts as u8;
    match readiness {
        READABLE => Some("readable"),
        WRITABLE => Some("writable"),
        ACCEPTS => Some("accepts"),
        _ => None,
    }
}
