"""The floors of the crates: imports point down, and no circle is large."""

from pathlib import Path

import pytest

from tests.tidy.imports import ROOT, Crate, circles, name, split_tree

# From below. A room is a file or a folder of crates/python/src; what is on one floor may import each other.
FLOORS = [
    {
        "arguments", "attributes", "classes", "copying", "errors", "files", "frames", "functions", "memory",
        "names", "replaced", "sources", "stock", "texts",
    },
    {"core"},
    {"alarms", "callbacks", "coroutines", "events", "futures", "mixins"},
    {"graph", "tasks"},
    {
        "addresses", "executor", "gathering", "locks", "queues", "server", "shield", "sleep", "staggered",
        "taskgroups", "timeouts", "transports", "waiting",
    },
    {"base_subprocess", "sslproto", "streams", "subprocess", "unix_events"},
    {"observing", "tracing"},
    {"event_loop"},
    {"installation", "runners", "task_tree", "threads"},
    {"lib"},
]  # fmt: skip

# Arrows that point up today. None may be added; what is mended leaves the list.
UP: set[str] = set()

# How many files may import each other in a circle.
LARGEST_CIRCLE = 5

# Circles that are larger today, by the first of their files, and how large they may be. None may be added.
LARGER: dict[str, int] = {}

CRATES = ["driver", "engine", "ffi", "observing", "python"]


def floor(module: tuple[str, ...]) -> int:
    """The number of the floor of a file of the Python crate, from below."""
    room = module[0] if module else "lib"
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@pytest.fixture(scope="module")
def crates() -> dict[str, Crate]:
    """All crates, read once."""
    return {crate: Crate(ROOT / "crates" / crate / "src") for crate in CRATES}


def test_each_room_is_on_a_floor(crates: dict[str, Crate]) -> None:
    """A new file of the Python crate says where it belongs."""
    rooms = {module[0] if module else "lib" for module in crates["python"].files}
    assert rooms == set().union(*FLOORS)


def test_imports_point_down(crates: dict[str, Crate]) -> None:
    """No file imports from a floor above its own."""
    arrows = crates["python"].arrows()
    up = {f"{name(a)} -> {name(b)}" for a in arrows for b in arrows[a] if floor(a) < floor(b)}
    assert up == UP


@pytest.mark.parametrize("crate", CRATES)
def test_circles_are_small(crates: dict[str, Crate], crate: str) -> None:
    """Few files import each other in a circle."""
    large = [circle for circle in circles(crates[crate].arrows()) if len(circle) > LARGEST_CIRCLE]
    found = {f"{crate}/{min(map(name, circle))}": len(circle) for circle in large}
    allowed = {key: size for key, size in LARGER.items() if key.startswith(f"{crate}/")}
    assert found == allowed, [sorted(map(name, circle)) for circle in large]


def test_the_core_knows_nobody(crates: dict[str, Crate]) -> None:
    """The core imports no future, task, transport, stream or lock: only what is below it."""
    arrows = crates["python"].arrows()
    below = FLOORS[0] | FLOORS[1]
    strangers = {
        name(b)
        for a in arrows
        for b in arrows[a]
        if a[:1] == ("core",) and name(b).split("/")[0] not in below
    }
    assert strangers == set()


def test_use_trees_are_understood() -> None:
    """The reader of `use` lines knows nested trees, renamed items and `self`."""
    assert split_tree("crate::{a, b::{self, C as D}}") == [
        ["crate", "a"],
        ["crate", "b", "self"],
        ["crate", "b", "C"],
    ]


def test_arrows_are_found(tmp_path: Path) -> None:
    """Arrows go to the file where the thing is, past re-exports; a comment is none; a circle is found."""
    files = {
        "lib.rs": "mod a; mod b;",
        "a.rs": "pub mod inner;\npub use inner::Thing;\n// crate::b::Other",
        "a/inner.rs": "use crate::b::Other;\npub struct Thing;",
        "b.rs": "use crate::a::Thing;\npub struct Other;",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    arrows = Crate(tmp_path).arrows()
    assert arrows == {(): set(), ("a",): set(), ("a", "inner"): {("b",)}, ("b",): {("a", "inner")}}
    assert circles(arrows) == [{("b",), ("a", "inner")}]
