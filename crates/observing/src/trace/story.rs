//! [`Story`]: makes trace events of records: tracks of tasks, what each waits for, arrows from causes to what
//! they have caused.
//!
//! Works without the interpreter, in the thread of the writer. What it keeps is bounded: names, living tasks,
//! and causes that have had no effect yet.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::heads::{Heads, Sort};
use super::json::{Arguments, Event, escaped};
use super::number::Number;
use super::ring::{Kind, NO_NAME, Record};

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
    heads: Heads,
    /// The text of the file that is still to be written.
    pub out: Vec<u8>,
    /// What the file calls the process.
    program: Box<[u8]>,
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
    /// The beginning of the file: an array, because viewers read an array of which the end is missing.
    pub fn begin(process: u32, program: &str, zero: u64) -> Self {
        let mut story = Self {
            zero,
            heads: Heads::new(process),
            out: Vec::with_capacity(1 << 17),
            program: escaped(program),
            names: vec![escaped("?"), escaped("(other)")],
            tasks: Map::default(),
            causes: Map::default(),
            arrows: 0,
            latest: 0,
            events: 0,
        };
        story.name_process("zero of CLOCK_MONOTONIC in ns", zero);
        // The comma that each event has before it.
        story.out[0] = b'[';
        story
    }

    /// Tells the name of the process, which viewers take from each event that has it, and a fact beside,
    /// which they ignore.
    fn name_process(&mut self, fact: &str, number: u64) {
        let head = self.heads.of_process(Sort::Process);
        let event = Event::begin(&mut self.out, head, &Number::microseconds(0));
        event.arguments().text("name", &self.program).number(fact, number).end();
    }

    /// One more record, with its text if it has one.
    pub fn tell(&mut self, record: &Record, text: &[u8]) {
        match Kind::of(record[0]) {
            Some(Kind::Name) => self.learn(low(record[1]), text),
            Some(Kind::Task) => self.begin_task(record, text),
            Some(Kind::Thread) => self.name_thread(low(record[1]), text),
            Some(Kind::Step) => self.step(record),
            Some(Kind::Idle) => {
                let begun = self.text_of(record[1]);
                let head = self.heads.of(Sort::Idle, low(record[3]), 0, &self.names);
                let event = Event::begin(&mut self.out, head, &begun);
                event.lasting(record[2].saturating_sub(record[1])).end();
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

    /// The same, in the unit of the file.
    #[inline]
    fn text_of(&self, time: u64) -> Number {
        Number::microseconds(self.since(time))
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
        let head = self.heads.of(Sort::Thread, thread, 0, &self.names);
        let event = Event::begin(&mut self.out, head, &Number::microseconds(0));
        event.arguments().text("name", &name).end();
    }

    fn begin_task(&mut self, record: &Record, text: &[u8]) {
        let (number, function, thread) = (low(record[1]), high(record[1]), low(record[3]));
        if self.tasks.len() >= TASKS {
            return;
        }
        let name = escaped(&String::from_utf8_lossy(text));
        let begun = self.text_of(record[2]);
        let head = self.heads.of(Sort::Task, thread, 0, &self.names);
        let event = Event::begin(&mut self.out, head, &begun);
        let event = event.named(&name).identified(&Number::of(number.into()));
        let function_name = self.names.get(function as usize).map_or(&b"?"[..], |name| name);
        event.arguments().text("function", function_name).end();
        self.events += 1;
        self.tasks.insert(number, Track { name, function, waits_for: NO_NAME, thread });
    }

    fn step(&mut self, record: &Record) {
        let [flags, begun, ended, subject, cause, at, ..] = *record;
        let (task, thread) = (low(subject), low(at));
        self.latest = self.since(ended);
        let text = self.text_of(begun);
        self.arrow(cause, flags >> 24 & 0xff != 0, thread, begun, &text);
        self.events += 1;
        if task != 0 {
            return self.step_of_task(task, &text, record);
        }
        let duration = ended.saturating_sub(begun);
        let readiness = (flags >> 16 & 0xff) as u32;
        let arguments = if readiness == 0 {
            let head = self.heads.of(Sort::Callback, thread, high(subject), &self.names);
            Event::begin(&mut self.out, head, &text).lasting(duration).arguments()
        } else {
            let head = self.heads.of(Sort::Io, thread, readiness, &self.names);
            let event = Event::begin(&mut self.out, head, &text).lasting(duration);
            event.arguments().number("fd", high(at).into())
        };
        tell_moved(arguments, record).end();
    }

    /// The end of what the task has waited for, its step, and what it waits for from now on, or its own end.
    fn step_of_task(&mut self, task: u32, begun_text: &Number, record: &Record) {
        let [flags, begun, ended, _, _, at, _, waits_for] = *record;
        let (thread, duration) = (low(at), ended.saturating_sub(begun));
        let (ended, id) = (self.text_of(ended), Number::of(task.into()));
        let Some(track) = self.tasks.get_mut(&task) else {
            let head = self.heads.of(Sort::UnknownStep, thread, 0, &self.names);
            let event = Event::begin(&mut self.out, head, begun_text).lasting(duration);
            tell_moved(event.arguments(), record).end();
            return;
        };
        if track.waits_for != NO_NAME {
            let head = self.heads.of(Sort::WaitEnd, thread, track.waits_for, &self.names);
            Event::begin(&mut self.out, head, begun_text).identified(&id).end();
            self.events += 1;
        }
        let head = self.heads.of(Sort::Step, thread, track.function, &self.names);
        let event = Event::begin(&mut self.out, head, begun_text).lasting(duration);
        tell_moved(event.arguments().text("task", &track.name), record).end();
        track.waits_for = low(waits_for);
        if track.waits_for != NO_NAME {
            let head = self.heads.of(Sort::Wait, thread, track.waits_for, &self.names);
            Event::begin(&mut self.out, head, &ended).identified(&id).end();
            self.events += 1;
        }
        let ending = match flags >> 8 & 0xff {
            1 => "finished",
            2 => "failed",
            3 => "cancelled",
            _ => return,
        };
        let head = self.heads.of(Sort::TaskEnd, thread, 0, &self.names);
        end_task(Event::begin(&mut self.out, head, &ended), &id, &track.name, ending);
        self.tasks.remove(&task);
        self.events += 1;
    }

    /// An arrow to what begins at `time`, from its cause.
    #[inline]
    fn arrow(&mut self, cause: u64, is_key: bool, thread: u32, time: u64, text: &Number) {
        let from = match is_key {
            true => self.causes.remove(&cause),
            false => (cause != 0).then_some((cause, thread)),
        };
        let Some((moment, origin)) = from else { return };
        self.arrows += 1;
        let (moment, id) = (self.text_of(moment.min(time)), Number::of(self.arrows));
        let head = self.heads.of(Sort::Arrow, origin, 0, &self.names);
        Event::begin(&mut self.out, head, &moment).identified(&id).end();
        let head = self.heads.of(Sort::ArrowEnd, thread, 0, &self.names);
        Event::begin(&mut self.out, head, text).identified(&id).end();
        self.events += 2;
    }

    fn job(&mut self, record: &Record) {
        let [_, begun, ended, subject, key, ..] = *record;
        let thread = low(subject);
        let text = self.text_of(begun);
        self.arrow(key, true, thread, begun, &text);
        self.remember(key, ended.saturating_sub(1), thread);
        let head = self.heads.of(Sort::Job, thread, high(subject), &self.names);
        Event::begin(&mut self.out, head, &text).lasting(ended.saturating_sub(begun)).end();
        self.events += 1;
    }

    fn cause(&mut self, record: &Record) {
        let [_, time, thread, key, shown, ..] = *record;
        if shown != 0 {
            let text = self.text_of(time);
            let head = self.heads.of(Sort::Post, low(thread), 0, &self.names);
            Event::begin(&mut self.out, head, &text).lasting(1).end();
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
        let time = self.text_of(time);
        let head = self.heads.of_process(Sort::Lost);
        Event::begin(&mut self.out, head, &time).arguments().number("count", count).end();
        self.events += 1;
    }

    /// The end of the file: nothing stays open. `untold` of the `lost` records were the last ones.
    pub fn end(&mut self, lost: u64, untold: u64, time: u64) {
        if untold > 0 {
            self.lose(untold, time);
        }
        let time = Number::microseconds(self.since(time).max(self.latest));
        let mut tasks: Vec<_> = self.tasks.drain().collect();
        tasks.sort_unstable_by_key(|(number, _)| *number);
        for (number, track) in tasks {
            let id = Number::of(number.into());
            if track.waits_for != NO_NAME {
                let head = self.heads.of(Sort::WaitEnd, track.thread, track.waits_for, &self.names);
                Event::begin(&mut self.out, head, &time).identified(&id).end();
            }
            let head = self.heads.of(Sort::TaskEnd, track.thread, 0, &self.names);
            end_task(Event::begin(&mut self.out, head, &time), &id, &track.name, "not ended");
        }
        self.name_process("lost events", lost);
        self.out.extend_from_slice(b"\n]\n");
    }
}

/// What was moved in a step.
#[inline]
fn tell_moved<'a>(arguments: Arguments<'a>, record: &Record) -> Arguments<'a> {
    let arguments = arguments.count("received", low(record[6]).into());
    arguments.count("sent", high(record[6]).into()).count("accepted", record[0] >> 32 & 0xff)
}

fn end_task(event: Event<'_>, id: &Number, name: &[u8], ending: &str) {
    event.named(name).identified(id).arguments().text("ended", ending.as_bytes()).end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::halves;

    #[test]
    fn a_story_is_an_array_of_events_in_which_nothing_stays_open() {
        let mut story = Story::begin(7, "a \"program\"", 1000);
        story.tell(&[Kind::Name as u64, 2, 0, 0, 0, 0, 0, 0], b"main");
        story.tell(&[Kind::Task as u64, halves(5, 2), 1000, 7, 0, 0, 0, 0], b"Task-1");
        story.tell(&[Kind::Step as u64, 2000, 3500, halves(5, 0), 0, 7, halves(10, 0), 2], b"");
        story.end(0, 0, 9000);
        let text = String::from_utf8(story.out).expect("UTF-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "[");
        for part in [
            r#""args":{"name":"a \"program\"","zero of CLOCK_MONOTONIC in ns":1000}}"#,
            r#"{"ph":"b","cat":"task","pid":7,"tid":7,"ts":0.000,"name":"Task-1","id":5,"args":{"function":"main"}}"#,
            r#""name":"main","ts":1.000,"dur":1.500,"args":{"task":"Task-1","received":10}}"#,
            r#"{"ph":"e","cat":"task","pid":7,"tid":7,"ts":8.000,"name":"Task-1","id":5,"args":{"ended":"not ended"}}"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!((lines.last(), story.events), (Some(&"]"), 3));
    }
}
