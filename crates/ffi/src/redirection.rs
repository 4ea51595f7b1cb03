//! asyncio's own methods, called on native objects: `original(loop, coro)`, where a program has put a wrapper
//! in the place of `asyncio.BaseEventLoop.create_task` and calls what it found there.
//!
//! asyncio's code would run on an object that is not what it takes it for. So each function of a class of
//! asyncio's that a native class stands for ([`Class::STANDS_FOR_STOCK`]) looks at its first argument: with a
//! native object it is the native method, with any other it is what it was. The function objects stay the
//! same, and so does all that can be seen of them: from Python 3.12 on a function may have another
//! vectorcall. Before that the interpreter does not ask a function for it, so there the classes get wrappers,
//! made by `python/yibu/redirection.py`.
//!
//! [`Class::STANDS_FOR_STOCK`]: super::Class::STANDS_FOR_STOCK

#[cfg(Py_3_12)]
pub use by_vectorcall::redirect_all;
#[cfg(not(Py_3_12))]
pub use by_wrappers::register;

#[cfg(Py_3_12)]
mod by_vectorcall;
#[cfg(not(Py_3_12))]
pub(crate) mod by_wrappers;
