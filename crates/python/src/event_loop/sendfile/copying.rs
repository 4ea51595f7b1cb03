//! Files that the kernel does not copy: read by the default executor, piece by piece, and written like
//! anything else.
//!
//! Called by `sendfile` and `sock_sendfile`; calls the file, the transport, and [`super::protocol`].

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyInt, PyMemoryView};

use super::Piece;
use super::protocol::Takeover;
use crate::core::EventLoop;
use crate::coroutines::{Answer, GcRef};
use crate::event_loop::socket::Socket;
use crate::ffi::thread::attached;
use crate::ffi::{Output, make};
use crate::names;
use crate::replaced::names::BASE_EVENTS;
use crate::tasks::Awaited;

/// How much goes to a transport at once.
const TRANSPORT_PIECE: i64 = 16 * 1024;

/// `_sendfile_fallback`.
pub(super) async fn over_transport(event_loop: &GcRef<EventLoop>, transport: &GcRef, piece: Piece) -> Answer {
    let (mut source, takeover) = attached(|py| {
        let source = Source::open(event_loop, piece, TRANSPORT_PIECE, py)?;
        Ok::<_, PyErr>((source, Takeover::begin(&event_loop.obj(py), transport.any(py))?))
    })?;
    let sent = write_all(&mut source, transport, &takeover).await;
    let undone = attached(|py| source.seek_behind_sent(py).and(takeover.end(py)));
    undone?;
    sent?;
    source.answer()
}

async fn write_all(source: &mut Source, transport: &GcRef, takeover: &Takeover) -> PyResult<()> {
    while let Some(data) = source.next().await? {
        attached(|py| transport.any(py).call_method1(names::write(py), (data.any(py),)).map(drop))?;
        takeover.drain().await?;
        source.sent(&data)?;
    }
    Ok(())
}

/// `_sock_sendfile_fallback`.
pub(super) async fn to_socket(event_loop: &GcRef<EventLoop>, socket: &Socket, piece: Piece) -> Answer {
    let mut source = attached(|py| {
        let most = BASE_EVENTS.constant(py, "SENDFILE_FALLBACK_READBUFFER_SIZE")?.extract()?;
        Source::open(event_loop, piece, most, py)
    })?;
    let sent = send_all(&mut source, event_loop, socket).await;
    attached(|py| source.seek_behind_sent(py))?;
    sent?;
    source.answer()
}

async fn send_all(source: &mut Source, event_loop: &GcRef<EventLoop>, socket: &Socket) -> PyResult<()> {
    while let Some(data) = source.next().await? {
        let sending = attached(|py| {
            let event_loop = event_loop.obj(py);
            let sending =
                event_loop.as_any().call_method1(name!("sock_sendall"), (socket.object(py), data.any(py)))?;
            Awaited::on(&event_loop, &sending)
        })?;
        sending.await?;
        source.sent(&data)?;
    }
    Ok(())
}

/// A file that is read into a buffer again and again.
struct Source {
    event_loop: GcRef<EventLoop>,
    file: GcRef,
    offset: GcRef,
    buffer: GcRef,
    /// How much to read at once.
    piece: i64,
    /// How much is wanted; none for all there is.
    count: Option<i64>,
    sent: i64,
    /// Whether the file's position tells what was sent.
    position_is_set: bool,
}

impl Source {
    fn open(event_loop: &GcRef<EventLoop>, what: Piece, most: i64, py: Python<'_>) -> PyResult<Self> {
        let Piece { file, offset, count } = what;
        // To 0, too: the file may stand anywhere.
        if file.any(py).hasattr(name!("seek"))? {
            file.any(py).call_method1(name!("seek"), (offset.any(py),))?;
        }
        let wanted = count.any(py);
        let count = match wanted.is_truthy()? {
            false => None,
            true if wanted.is_instance_of::<PyInt>() && wanted.gt(i64::MAX)? => Some(i64::MAX),
            true => Some(wanted.extract()?),
        };
        let piece = count.map_or(most, |count| count.min(most));
        let buffer = py.get_type::<PyByteArray>().call1((piece,))?;
        Ok(Self {
            event_loop: event_loop.clone_ref(py),
            file,
            offset,
            buffer: GcRef::new(buffer),
            piece,
            count,
            sent: 0,
            position_is_set: false,
        })
    }

    /// The next piece, in the buffer that the one after it will be in; none at the end.
    async fn next(&mut self) -> PyResult<Option<GcRef>> {
        if let Some(count) = self.count {
            self.piece = self.piece.min(count - self.sent);
            if self.piece <= 0 {
                return Ok(None);
            }
        }
        let (view, reading) = attached(|py| {
            let view = slice(PyMemoryView::from(self.buffer.any(py))?.as_any(), self.piece)?;
            let event_loop = self.event_loop.obj(py);
            let read_into = self.file.any(py).getattr(name!("readinto"))?;
            let reading =
                event_loop.as_any().call_method1(name!("run_in_executor"), (py.None(), read_into, &view))?;
            Ok::<_, PyErr>((GcRef::new(view), Awaited::on(&event_loop, &reading)?))
        })?;
        let read = reading.await?;
        attached(|py| {
            let read = read.bind(py);
            if read.is_truthy()? {
                slice(view.any(py), read.extract()?).map(|data| Some(GcRef::new(data)))
            } else {
                Ok(None)
            }
        })
    }

    /// A piece is on its way.
    fn sent(&mut self, data: &GcRef) -> PyResult<()> {
        self.sent += attached(|py| data.any(py).len())?.cast_signed() as i64;
        Ok(())
    }

    fn answer(&self) -> Answer {
        attached(|py| Ok(self.sent.into_pyobject(py)?.into_any().unbind()))
    }

    /// Moves the position of the file behind what was sent, once.
    fn seek_behind_sent(&mut self, py: Python<'_>) -> PyResult<()> {
        if std::mem::replace(&mut self.position_is_set, true) || self.sent == 0 {
            return Ok(());
        }
        let file = self.file.any(py);
        if file.hasattr(name!("seek"))? {
            file.call_method1(name!("seek"), (self.offset.any(py).add(self.sent)?,))?;
        }
        Ok(())
    }
}

impl Drop for Source {
    /// Sending was given up.
    fn drop(&mut self) {
        attached(|py| {
            if let Err(error) = self.seek_behind_sent(py) {
                error.write_unraisable(py, Some(self.file.any(py)));
            }
        });
    }
}

/// `view[:length]`.
fn slice<'py>(view: &Bound<'py, PyAny>, length: i64) -> Output<'py> {
    view.get_item(make::slice(view.py(), 0, usize::try_from(length)?)?)
}
