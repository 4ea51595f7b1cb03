//! [`Readiness`]: one side of a descriptor, as a Rust future waits for it.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use pyo3::prelude::*;
use yibu_engine::{Fd, Interest, OpId};

use super::gc_refs::GcRef;
use super::waking::Waker;
use crate::core::{EventLoop, Owner, Report, Waiting, watched};
use crate::ffi::thread::attached;
use crate::ffi::{LoopCell, Obj, Visitor};

/// What a Rust future and the operation it waits for have in common.
#[derive(Default)]
struct ReadyState {
    ready: Cell<bool>,
    waker: LoopCell<Option<Waker>>,
}

impl Report for ReadyState {
    fn report(&self) {
        self.ready.set(true);
        if let Some(waker) = self.waker.with(Option::take) {
            waker.wake();
        }
    }
}

/// The operation's share of it: the waker is there as long as the operation is, where the collector sees it.
struct Asked(Rc<ReadyState>);

impl Waiting for Asked {
    fn share(&self) -> Rc<dyn Report> {
        Rc::<ReadyState>::clone(&self.0)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.0.waker.try_with(|waker| waker.iter().for_each(|waker| waker.traverse(visitor)));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let waker = self.0.waker.with(Option::take);
        drop(waker);
    }
}

/// Those of [`Readiness`] and of its wait.
const SHARES_WITHOUT_OPERATION: usize = 2;

/// One side of a descriptor as a Rust future waits for it. The kernel is asked at the first wait, and once
/// for any number of them; dropping it takes the request back.
pub struct Readiness {
    event_loop: GcRef<EventLoop>,
    fd: Fd,
    interest: Interest,
    asked: Option<(OpId, Rc<ReadyState>)>,
}

impl Readiness {
    /// Nothing is asked yet.
    pub fn of(event_loop: &Obj<'_, EventLoop>, fd: Fd, interest: Interest) -> Self {
        Self { event_loop: GcRef::of(event_loop), fd, interest, asked: None }
    }

    /// Waits until the kernel reports the side as ready. When it was not after all, wait again.
    pub async fn wait(&mut self) -> PyResult<()> {
        let waiting = match &self.asked {
            Some((_, waiting)) => Rc::clone(waiting),
            None => self.ask()?,
        };
        waiting.ready.set(false);
        poll_fn(|_| {
            if waiting.ready.get() {
                return Poll::Ready(Ok(()));
            }
            // If another watcher has replaced this one, or the loop was closed, the kernel's report never
            // comes.
            if Rc::strong_count(&waiting) > SHARES_WITHOUT_OPERATION {
                let waker = match attached(Waker::current) {
                    Ok(waker) => waker,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                let former = waiting.waker.with(|slot| slot.replace(waker));
                drop(former);
            }
            Poll::Pending
        })
        .await
    }

    fn ask(&mut self) -> PyResult<Rc<ReadyState>> {
        attached(|py| {
            let event_loop = self.event_loop.obj(py);
            event_loop.check_open()?;
            let waiting = Rc::<ReadyState>::default();
            let id = watched::watch(
                &event_loop,
                self.fd,
                self.interest,
                Owner::Future(Box::new(Asked(Rc::clone(&waiting)))),
            )?;
            self.asked = Some((id, Rc::clone(&waiting)));
            Ok(waiting)
        })
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        if let Some((id, _)) = self.asked.take() {
            // A stale identifier (another watcher took the side, the loop was closed) cancels nothing. That
            // the table still names it does no harm.
            let owner = self.event_loop.data().engine.with(|engine| engine.cancel(id));
            drop(owner);
        }
    }
}
