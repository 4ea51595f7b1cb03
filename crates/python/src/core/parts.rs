//! What other parts keep in a loop: each part has one object of its own type there, made when it is first
//! needed.

use std::any::Any;
use std::rc::Rc;

use crate::ffi::{LoopCell, Visitor};

/// The state that a part keeps in a loop.
pub trait Part: Any {
    /// Shows every reference in it to the collector.
    fn traverse(&self, visitor: &mut Visitor);
}

/// A part whose fields are cells. What [`Parts::shared`] gives out may be used while Python code runs.
impl<P: Part> Part for Rc<P> {
    fn traverse(&self, visitor: &mut Visitor) {
        (**self).traverse(visitor);
    }
}

/// The parts' states.
#[derive(Default)]
pub struct Parts(LoopCell<Vec<Box<dyn Part>>>);

impl Parts {
    /// Runs `f` on the state of type `P`. `f` must not call into Python, nor drop references that could.
    pub fn with<P: Part + Default, R>(&self, f: impl FnOnce(&mut P) -> R) -> R {
        self.0.with(|parts| {
            let found = parts.iter_mut().find_map(|part| (&mut **part as &mut dyn Any).downcast_mut());
            match found {
                Some(part) => f(part),
                None => {
                    let mut part = P::default();
                    let result = f(&mut part);
                    parts.push(Box::new(part));
                    result
                }
            }
        })
    }

    /// A state whose fields are cells.
    pub fn shared<P: Part + Default>(&self) -> Rc<P> {
        self.with(|part: &mut Rc<P>| Rc::clone(part))
    }

    /// Takes the state of type `P` out.
    pub fn take<P: Part + Default>(&self) -> P {
        self.with(std::mem::take)
    }

    /// Takes all of them out, to be dropped where Python code may run.
    pub fn take_all(&self) -> Vec<Box<dyn Part>> {
        self.0.with(std::mem::take)
    }

    /// Shows every reference to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.0.try_with(|parts| parts.iter().for_each(|part| part.traverse(visitor)));
    }
}
