//! The callbacks of one future, in the order in which they were added.
//!
//! Most futures have one callback, which needs no allocation. Many callbacks are indexed by reaction and
//! owner, so that removing one does not search them all: ten thousand waits for one future that are cancelled
//! together remove theirs one by one. Called by [`super`] alone, while the future's cell is borrowed; calls
//! no Python.

use std::collections::HashMap;

use pyo3::prelude::*;

use crate::core::{EntryKind, Reaction, Runnable};
use crate::ffi::{Ref, Visitor};
use yibu_driver::memory::MakeRoom;

/// What runs when a future is done.
pub enum Callback {
    /// `add_done_callback(function, context=context)`.
    Python {
        /// Called with the future.
        function: Ref,
        /// Entered for the call.
        context: Ref,
    },
    /// An entry of the loop: a native task that awaits the future, or a Rust future that does.
    Entry {
        /// The kind of the entry, which gets the future with the object.
        kind: &'static EntryKind,
        /// The task or coroutine that waits.
        object: Ref,
    },
    /// A function of a primitive.
    Reaction {
        /// The function.
        reaction: &'static Reaction,
        /// The object it acts on.
        owner: Ref,
    },
}

/// A reaction and its owner, by their addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(usize, usize);

impl Callback {
    /// A copy, with new references.
    pub fn copy(&self, py: Python<'_>) -> Self {
        match self {
            Self::Python { function, context } => {
                Self::Python { function: function.copy(py), context: context.copy(py) }
            }
            Self::Entry { kind, object } => Self::Entry { kind, object: object.copy(py) },
            Self::Reaction { reaction, owner } => Self::Reaction { reaction, owner: owner.copy(py) },
        }
    }

    /// The task that waits for the future through this callback.
    pub fn waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Python { .. } => None,
            Self::Entry { kind, object } => (kind.subject)(&Runnable::new(kind, object.copy(py)), py),
            Self::Reaction { reaction, owner } => (reaction.waiter)(owner.any(py)),
        }
    }

    /// Shows its references to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Python { function, context } => {
                visitor.visit(function.as_ptr());
                visitor.visit(context.as_ptr());
            }
            Self::Entry { object, .. } => visitor.visit(object.as_ptr()),
            Self::Reaction { owner, .. } => visitor.visit(owner.as_ptr()),
        }
    }
}

impl Key {
    /// The key of a reaction of an object at an address.
    pub fn new<T>(reaction: &'static Reaction, owner: *const T) -> Self {
        Self(std::ptr::from_ref(reaction).addr(), owner.addr())
    }

    fn of(callback: &Callback) -> Option<Self> {
        match callback {
            Callback::Reaction { reaction, owner } => Some(Self::new(reaction, owner.as_ptr())),
            _ => None,
        }
    }
}

/// Up to this many callbacks are searched without an index.
const FEW: usize = 32;

/// More than [`FEW`] callbacks, with an index for their removal.
#[derive(Default)]
pub struct IndexedCallbacks {
    /// `None` where one was removed.
    places: Vec<Option<Callback>>,
    removed: usize,
    /// The place of each reaction; made by the first removal.
    index: Option<HashMap<Key, usize>>,
    /// Whether some reaction and owner are there twice. The index has only one place for them, so it is not
    /// used then.
    repeats: bool,
}

impl IndexedCallbacks {
    fn make_room(&mut self) -> bool {
        self.places.make_room(1) && self.index.as_mut().is_none_or(|index| index.make_room(1))
    }

    fn push(&mut self, callback: Callback) {
        if let (Some(index), Some(key)) = (&mut self.index, Key::of(&callback)) {
            self.repeats |= index.insert(key, self.places.len()).is_some();
        }
        self.places.push(Some(callback));
    }

    fn take(&mut self, place: usize) -> Option<Callback> {
        let callback = self.places.get_mut(place)?.take()?;
        self.removed += 1;
        if let (Some(index), Some(key)) = (&mut self.index, Key::of(&callback)) {
            index.remove(&key);
        }
        Some(callback)
    }

    fn take_all(&mut self, key: Key) -> Vec<Callback> {
        let mut index = HashMap::new();
        // If there is no memory for an index, all callbacks are searched.
        if self.index.is_none() && index.make_room(self.places.len()) {
            for (place, callback) in self.places.iter().enumerate() {
                if let Some(key) = callback.as_ref().and_then(Key::of) {
                    self.repeats |= index.insert(key, place).is_some();
                }
            }
            self.index = Some(index);
        }
        let found = match &self.index {
            Some(index) if !self.repeats => index.get(&key).copied().into_iter().collect(),
            _ => {
                let is_it = |callback: &Option<Callback>| callback.as_ref().and_then(Key::of) == Some(key);
                let all = self.places.iter().enumerate();
                all.filter(|(_, callback)| is_it(callback)).map(|(place, _)| place).collect::<Vec<_>>()
            }
        };
        let taken = found.into_iter().filter_map(|place| self.take(place)).collect();
        if self.removed * 2 > self.places.len() {
            self.places.retain(Option::is_some);
            (self.removed, self.index, self.repeats) = (0, None, false);
        }
        taken
    }
}

/// The callbacks of one future.
#[derive(Default)]
pub enum Callbacks {
    /// None.
    #[default]
    None,
    /// One.
    One(Callback),
    /// A few.
    Many(Vec<Callback>),
    /// More than [`FEW`].
    Indexed(Box<IndexedCallbacks>),
}

impl Callbacks {
    /// Makes room for one more; `false` where there is no memory for it.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        match self {
            Self::None | Self::One(_) => true,
            Self::Many(all) => all.make_room(1),
            Self::Indexed(indexed) => indexed.make_room(),
        }
    }

    /// Adds one, at the end.
    #[inline]
    pub fn push(&mut self, callback: Callback) {
        match self {
            // `None` has nothing to drop; `forget` saves the call of its destructor.
            Self::None => std::mem::forget(std::mem::replace(self, Self::One(callback))),
            Self::Indexed(indexed) => indexed.push(callback),
            _ => self.push_to_many(callback),
        }
    }

    fn push_to_many(&mut self, callback: Callback) {
        *self = match std::mem::take(self) {
            Self::One(first) => Self::Many(vec![first, callback]),
            Self::Many(all) if all.len() >= FEW => {
                let mut indexed = IndexedCallbacks {
                    places: all.into_iter().map(Some).collect(),
                    ..IndexedCallbacks::default()
                };
                indexed.push(callback);
                Self::Indexed(Box::new(indexed))
            }
            Self::Many(mut all) => {
                all.push(callback);
                Self::Many(all)
            }
            other => other,
        };
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Callback> {
        let (few, indexed) = match self {
            Self::None => (&[][..], None),
            Self::One(one) => (std::slice::from_ref(one), None),
            Self::Many(all) => (all.as_slice(), None),
            Self::Indexed(indexed) => (&[][..], Some(indexed.places.iter().flatten())),
        };
        few.iter().chain(indexed.into_iter().flatten())
    }

    /// How many places there are, empty ones included.
    pub fn places(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
            Self::Indexed(indexed) => indexed.places.len(),
        }
    }

    /// The one at a place.
    pub fn get(&self, place: usize) -> Option<&Callback> {
        match self {
            Self::None => None,
            Self::One(one) => (place == 0).then_some(one),
            Self::Many(all) => all.get(place),
            Self::Indexed(indexed) => indexed.places.get(place)?.as_ref(),
        }
    }

    /// Removes the one at a place: those behind it may move up.
    pub fn remove(&mut self, place: usize) -> Option<Callback> {
        match self {
            Self::Many(all) if place < all.len() => Some(all.remove(place)),
            Self::Indexed(indexed) => indexed.take(place),
            Self::One(_) if place == 0 => match std::mem::take(self) {
                Self::One(one) => Some(one),
                _ => None,
            },
            _ => None,
        }
    }

    /// Removes every one with this key.
    pub fn remove_all(&mut self, key: Key) -> Vec<Callback> {
        let is_it = |callback: &Callback| Key::of(callback) == Some(key);
        match self {
            Self::One(one) if is_it(one) => self.remove(0).into_iter().collect(),
            Self::None | Self::One(_) => Vec::new(),
            Self::Many(all) => all.extract_if(.., |callback| is_it(callback)).collect(),
            Self::Indexed(indexed) => indexed.take_all(key),
        }
    }

    /// Calls `run` with each in turn, until one fails.
    #[inline(always)]
    pub fn consume<E>(self, mut run: impl FnMut(Callback) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::None => Ok(()),
            Self::One(one) => run(one),
            several => several.consume_several(run),
        }
    }

    fn consume_several<E>(self, mut run: impl FnMut(Callback) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::None => Ok(()),
            Self::One(one) => run(one),
            Self::Many(all) => all.into_iter().try_for_each(run),
            Self::Indexed(indexed) => indexed.places.into_iter().flatten().try_for_each(run),
        }
    }
}
