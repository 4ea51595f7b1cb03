//! What the watchers of the interpreters up to 3.13 have besides watching, where there is nothing to do for
//! it: a context, a loop to be attached to, children to forget. Called by the `table` functions of the
//! watchers.

use crate::ffi::{Class, Signature, Table, boolean};

/// A watcher that a `with` statement may name.
pub(super) trait Context: Class {
    /// `__exit__`.
    const EXIT: &'static Signature<3>;
}

/// A watcher that watches for the loop that runs, whatever loop it was attached to.
pub(super) trait Idle: Context {
    /// `attach_loop`.
    const ATTACH: &'static Signature<1>;
    /// `remove_child_handler`.
    const REMOVE: &'static Signature<1>;
}

/// `__enter__` and `__exit__`.
pub(super) fn context_table<T: Context>(t: &mut Table<T>) {
    t.noargs(c"__enter__", |watcher| Ok(watcher.as_any().clone()), "Returns the watcher.");
    t.command(T::EXIT, |_, args| args.parse(T::EXIT).map(drop), "Does nothing.");
}

/// Everything that is idle.
pub(super) fn table<T: Idle>(t: &mut Table<T>) {
    context_table(t);
    t.noargs(c"is_active", |watcher| Ok(boolean(watcher.py(), true)), "True: it is always ready.");
    t.action(c"close", |_| (), "Does nothing.");
    t.command(
        T::ATTACH,
        |_, args| args.parse(T::ATTACH).map(drop),
        "Does nothing: it watches for the loop that runs when a child is added.",
    );
    t.method(
        T::REMOVE,
        |watcher, args| {
            let [_] = args.parse(T::REMOVE)?;
            Ok(boolean(watcher.py(), true))
        },
        "Returns True, and does nothing else.",
    );
}
