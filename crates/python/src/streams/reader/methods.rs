//! The class `StreamReader` and its methods, but for those that read.

use std::ffi::CStr;

use pyo3::prelude::*;

use super::{
    DEFAULT_LIMIT, StreamReader, Wanted, adopt, fail, feed_data, init, maybe_resume_transport,
    replace_transport, wake, wake_waiter,
};
use crate::attributes::{assigned, flags, objects, write};
use crate::copying::{self, Copied};
use crate::ffi::combined::Combinable;
use crate::ffi::{
    Args, Class, ClassState, Obj, Output, Signature, Slot, Table, Visitor, boolean, make, none, stands_for,
};
use crate::streams::reading;
use crate::{sources, stock};

static STREAM_READER: ClassState = ClassState::new();
const INIT: Signature<2> = Signature::new_method("StreamReader.__init__", "limit=65536, loop=None");
const SET_EXCEPTION: Signature<1> = Signature::new_method("StreamReader.set_exception", "exc");
const SET_TRANSPORT: Signature<1> = Signature::new_method("StreamReader.set_transport", "transport");
const REPLACE_TRANSPORT: Signature<1> = Signature::new_method("StreamReader._replace_transport", "transport");
const FEED_DATA: Signature<1> = Signature::new_method("StreamReader.feed_data", "data");

fn repr<'py>(reader: &Obj<'py, StreamReader>) -> Output<'py> {
    let py = reader.py();
    let mut text = "<StreamReader".to_owned();
    let len = reader.content.len(py)?;
    if len > 0 {
        text += &format!(" {len} bytes");
    }
    if reader.eof.get() {
        text += " eof";
    }
    if reader.limit.get() != DEFAULT_LIMIT || !reader.given_limit.is_empty() {
        crate::texts::append(&mut text, format_args!(" limit={}", reader.limit_object(py)?.str()?))?;
    }
    for (name, slot) in
        [("waiter", &reader.waiter), ("exception", &reader.exception), ("transport", &reader.transport)]
    {
        if let Some(object) = slot.get(py).filter(|object| object.is_truthy().unwrap_or(true)) {
            crate::texts::append(&mut text, format_args!(" {name}={}", object.repr()?))?;
        }
    }
    let end = if reader.paused.get() { " paused>" } else { ">" };
    Ok(make::text(py, &text!("{text}{end}")?)?.into_any())
}

fn attributes(t: &mut Table<StreamReader>) {
    t.property(
        c"_buffer",
        |reader| Ok(reader.content.show(reader.py())),
        |reader, value| assigned(value).map(|value| reader.content.replace(value.clone())),
    );
    t.property(
        c"_limit",
        |reader| reader.limit_object(reader.py()),
        |reader, value| reader.set_limit(assigned(value)?),
    );
    flags! { t:
        c"_eof" => eof,
        c"_paused" => paused,
    }
    t.property(
        c"_waiter",
        |reader| Ok(reader.waiter.get_or_none(reader.py())),
        |reader, value| {
            // Python code waits here itself, and for whatever comes.
            reader.want(Wanted::Anything);
            write(&reader.waiter, value)
        },
    );
    objects! { t:
        c"_exception" => exception,
        c"_transport" => transport,
        c"_loop" => event_loop,
    }
    t.getter(c"_source_traceback", |reader| sources::shown_or_none(&reader.source_traceback, reader.py()));
    copying::table(t);
}

impl Copied for StreamReader {}

impl Class for StreamReader {
    const NAME: &'static CStr = c"yibu.StreamReader";
    type Header = Combinable;
    const FREELIST: usize = 64;
    const FUNCTIONS: bool = true;
    const OBSERVABLE: bool = true;

    const SHOWN: &'static [&'static str] =
        &["_limit", "_loop", "_buffer", "_eof", "_waiter", "_exception", "_transport", "_paused"];
    const NONE_BEFORE_INIT: Option<&'static str> = Some("_loop");

    stands_for! { STREAM_READER, stock::stream_reader }

    fn table(t: &mut Table<Self>) {
        t.doc(c"StreamReader(limit=65536, loop=None)\n--\n\nBytes that arrive, for tasks that read them. A line, or what readuntil() returns, may have limit bytes.");
        t.init(|reader, args, kwargs| {
            let [limit, event_loop] = Args::parse_tuple_given(&INIT, args, kwargs)?;
            let py = reader.py();
            let limit =
                limit.map_or_else(|| Ok(DEFAULT_LIMIT.into_pyobject(py)?.into_any()), Ok::<_, PyErr>)?;
            init(reader, &limit, event_loop.unwrap_or_else(|| none(py)))
        });
        t.noargs(
            c"exception",
            |reader| Ok(reader.exception.get_or_none(reader.py())),
            "What set_exception() was given, or None.",
        );
        t.command(
            &SET_EXCEPTION,
            |reader, args| {
                let [exception] = args.parse(&SET_EXCEPTION)?;
                fail(reader, &exception)
            },
            "Makes every read raise exc, the one that waits included.",
        );
        t.command(
            &SET_TRANSPORT,
            |reader, args| {
                let [transport] = args.parse(&SET_TRANSPORT)?;
                adopt(reader, &transport)
            },
            "Sets the transport to pause when too much arrives.",
        );
        t.command(
            &REPLACE_TRANSPORT,
            |reader, args| {
                let [transport] = args.parse(&REPLACE_TRANSPORT)?;
                replace_transport(reader, &transport)
            },
            "Sets another transport, after start_tls().",
        );
        t.action(
            c"_maybe_resume_transport",
            maybe_resume_transport,
            "Lets a paused transport go on if there is room.",
        );
        t.action(c"_wakeup_waiter", wake_waiter, "Wakes the task that reads.");
        t.action(
            c"feed_eof",
            |reader| {
                reader.eof.set(true);
                wake(reader)
            },
            "Nothing more will arrive.",
        );
        t.noargs(
            c"at_eof",
            |reader| {
                let py = reader.py();
                Ok(boolean(py, reader.eof.get() && reader.content.len(py)? == 0))
            },
            "Whether everything was read and nothing more will arrive.",
        );
        t.command(
            &FEED_DATA,
            |reader, args| {
                let [data] = args.parse(&FEED_DATA)?;
                feed_data(reader, &data)
            },
            "Appends bytes that arrived.",
        );
        t.aiter(|reader| Ok(reader.as_any().clone()));
        reading::table(t);
        attributes(t);
        t.repr(repr);
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| slot.traverse(visitor));
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(Slot::clear);
    }
}
