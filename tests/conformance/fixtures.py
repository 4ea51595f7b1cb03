"""Makes the tests' own set-ups use the implementation's loop, where they name a selector or the fake clock.

Called by `child` after a module of tests is loaded. Kept to what cannot be had otherwise: most set-ups make
their loop by `new_event_loop()`, `SelectorEventLoop` or `BaseEventLoop`, which `patching` has replaced.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .patching import Implementation

# A gather is done after few turns; GatherTestsBase looks at the stock loop's queue to know when.
TURNS_OF_A_GATHER = 12


def adapt(module: ModuleType, implementation: Implementation, own_loop: bool) -> None:
    """Adapt the set-ups of one loaded module."""
    from test.test_asyncio import utils

    new_loop = implementation.event_loop
    _close_through_the_public_methods(utils)
    for class_ in [value for value in vars(module).values() if isinstance(value, type)]:
        # One class per selector; which one is kept is for `exclusions` to say.
        if "create_event_loop" in vars(class_):
            class_.create_event_loop = lambda self: new_loop()  # type: ignore[attr-defined]
    if own_loop:
        _replace_the_test_loop(utils, new_loop)
        if hasattr(module, "GatherTestsBase"):
            module.GatherTestsBase._run_loop = _run_some_turns


def _close_through_the_public_methods(utils: ModuleType) -> None:
    """`TestCase.close_loop` reads `loop._default_executor` to know whether there are threads to wait for."""
    original = utils.TestCase.close_loop

    def close_loop(loop: Any) -> None:
        if hasattr(loop, "_default_executor"):
            original(loop)
            return
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    utils.TestCase.close_loop = staticmethod(close_loop)


def _replace_the_test_loop(utils: ModuleType, new_loop: Callable[[], Any]) -> None:
    """`new_test_loop()` gives a real loop; with a generator it still gives the loop with a fake clock."""
    original = utils.TestCase.new_test_loop

    def new_test_loop(self: Any, gen: Any = None) -> Any:
        if gen is not None:
            return original(self, gen)
        loop = new_loop()
        self.set_event_loop(loop)
        return loop

    utils.TestCase.new_test_loop = new_test_loop


def _run_some_turns(self: Any, loop: Any) -> None:
    from test.test_asyncio import utils

    for _ in range(TURNS_OF_A_GATHER):
        utils.run_briefly(loop)
