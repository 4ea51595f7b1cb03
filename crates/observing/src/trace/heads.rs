//! [`Heads`]: the beginnings of events, which are the same for all events of one sort, name and thread, and
//! are made once.
//!
//! A head is everything up to the time, and most of the text of an event. Called by `story.rs`.

use super::steps::Readiness;

/// Sorts of events. Each has a phase and a category of its own.
#[derive(Clone, Copy)]
pub enum Sort {
    /// What the viewer calls the process.
    Process,
    /// What it calls a thread.
    Thread,
    /// The step of a task; the name is that of its function.
    Step,
    /// The step of a task of which nothing is known.
    UnknownStep,
    /// A step that is a callback.
    Callback,
    /// A step that finishes an operation of the kernel; the name is a [`Readiness`].
    Io,
    /// A call in a thread of the executor.
    Job,
    /// A moment in another thread that makes a loop run something.
    Post,
    /// A loop had nothing to do.
    Idle,
    /// The beginning of a task, whose name follows the head.
    Task,
    /// Its end.
    TaskEnd,
    /// The beginning of what a task waits for.
    Wait,
    /// Its end.
    WaitEnd,
    /// The beginning of an arrow.
    Arrow,
    /// Its end.
    ArrowEnd,
    /// Records are missing.
    Lost,
}

const SORTS: usize = Sort::Lost as usize + 1;

/// Where the name of an event comes from.
enum Name {
    /// It is the same in all events of the sort.
    Same(&'static str),
    /// A record has told it.
    Told,
    /// It follows the time.
    Later,
}

impl Sort {
    /// The phase and category, the name, and what else is the same in all events of the sort.
    fn traits(self, number: u32) -> (&'static str, Name, &'static str) {
        match self {
            Self::Process => (r#"M","cat":"process"#, Name::Same("process_name"), ""),
            Self::Thread => (r#"M","cat":"thread"#, Name::Same("thread_name"), ""),
            Self::Step => (r#"X","cat":"task"#, Name::Told, ""),
            Self::UnknownStep => (r#"X","cat":"task"#, Name::Same("task"), ""),
            Self::Callback => (r#"X","cat":"callback"#, Name::Told, ""),
            Self::Io => (r#"X","cat":"io"#, Name::Same(word(number)), ""),
            Self::Job => (r#"X","cat":"job"#, Name::Told, ""),
            Self::Post => (r#"X","cat":"thread"#, Name::Same("call_soon_threadsafe"), ""),
            Self::Idle => (r#"X","cat":"idle"#, Name::Same("idle"), ""),
            Self::Task => (r#"b","cat":"task"#, Name::Later, ""),
            Self::TaskEnd => (r#"e","cat":"task"#, Name::Later, ""),
            Self::Wait => (r#"b","cat":"task"#, Name::Told, ""),
            Self::WaitEnd => (r#"e","cat":"task"#, Name::Told, ""),
            Self::Arrow => (r#"s","cat":"wake"#, Name::Same("wakes"), ""),
            // The arrow ends at the slice that is there, not at the next one.
            Self::ArrowEnd => (r#"f","cat":"wake"#, Name::Same("wakes"), r#","bp":"e""#),
            Self::Lost => (r#"i","cat":"lost"#, Name::Same("events lost"), r#","s":"p""#),
        }
    }
}

/// What the kernel has reported.
const fn word(readiness: u32) -> &'static str {
    const WRITABLE: u32 = Readiness::Writable as u32;
    const ACCEPTS: u32 = Readiness::Accepts as u32;
    match readiness {
        WRITABLE => "writable",
        ACCEPTS => "accepts",
        _ => "readable",
    }
}

/// At most the heads of so many threads are kept.
const THREADS: usize = 1024;

/// The heads of a thread, by sort and by the number of the name.
struct OfThread {
    thread: u32,
    heads: [Vec<Box<[u8]>>; SORTS],
}

/// The heads of all threads of a process.
pub struct Heads {
    process: u32,
    threads: Vec<OfThread>,
    /// Which thread was asked for last.
    last: usize,
}

impl Heads {
    /// None is made yet.
    pub const fn new(process: u32) -> Self {
        Self { process, threads: Vec::new(), last: 0 }
    }

    /// The head of events of a sort in a thread, with the name that has this number among `names`, which are
    /// escaped.
    #[inline]
    pub fn of(&mut self, sort: Sort, thread: u32, number: u32, names: &[Box<[u8]>]) -> &[u8] {
        if !self.is_known(sort, thread, number) {
            self.learn(sort, thread, number, names);
        }
        self.threads
            .get(self.last)
            .and_then(|known| known.heads[sort as usize].get(number as usize))
            .map_or(b"", |head| head)
    }

    /// The head of events of the process as a whole.
    pub fn of_process(&mut self, sort: Sort) -> &[u8] {
        self.of(sort, self.process, 0, &[])
    }

    #[inline]
    fn is_known(&self, sort: Sort, thread: u32, number: u32) -> bool {
        self.threads.get(self.last).is_some_and(|known| {
            known.thread == thread
                && known.heads[sort as usize].get(number as usize).is_some_and(|head| !head.is_empty())
        })
    }

    #[cold]
    fn learn(&mut self, sort: Sort, thread: u32, number: u32, names: &[Box<[u8]>]) {
        let place = self.threads.iter().position(|known| known.thread == thread);
        self.last = place.unwrap_or_else(|| {
            if self.threads.len() >= THREADS {
                self.threads.clear();
            }
            self.threads.push(OfThread { thread, heads: Default::default() });
            self.threads.len() - 1
        });
        if self.is_known(sort, thread, number) {
            return;
        }
        let head = self.make(sort, thread, number, names);
        let heads = &mut self.threads[self.last].heads[sort as usize];
        if heads.len() <= number as usize {
            heads.resize(number as usize + 1, Box::default());
        }
        heads[number as usize] = head.into();
    }

    fn make(&self, sort: Sort, thread: u32, number: u32, names: &[Box<[u8]>]) -> Vec<u8> {
        let (kind, name, more) = sort.traits(number);
        let process = self.process;
        let mut head = format!(",\n{{\"ph\":\"{kind}\",\"pid\":{process},\"tid\":{thread}").into_bytes();
        let name = match name {
            Name::Same(name) => Some(name.as_bytes()),
            Name::Told => Some(names.get(number as usize).map_or(&b"?"[..], |name| name)),
            Name::Later => None,
        };
        if let Some(name) = name {
            head.extend_from_slice(b",\"name\":\"");
            head.extend_from_slice(name);
            head.push(b'"');
        }
        head.extend_from_slice(more.as_bytes());
        head.extend_from_slice(b",\"ts\":");
        head
    }
}
