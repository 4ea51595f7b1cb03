"""Random programs on `yibu.files` and on an ordinary file: every result and every exception is the same.

Part of the pages is dropped from the kernel's cache now and then, so that both ways of reading are taken.
"""

import os
import random

import pytest
from yibu import files

from tests.unit.outcomes import awaited, outcome

PROGRAMS = 40


@pytest.fixture
def path(request):
    """A file beside the tests, because a folder for temporary files may be in memory."""
    path = request.path.with_name(f".files-{os.getpid()}-random")
    yield path
    path.unlink()


def content(choose):
    """Some text: mixed characters and ends of lines, lines, a long line, or short lines."""
    kind = choose.randrange(4)
    if kind == 0:
        characters = ["a", "ä", "€", "😀", "\n", "\r\n", "\r", " "]
        return "".join(choose.choice(characters) for _ in range(choose.randrange(20_000)))
    if kind == 1:
        return "\n".join("x" * choose.randrange(300) for _ in range(choose.randrange(300)))
    if kind == 2:
        return "y" * choose.randrange(60_000) + "\n" + "z" * choose.randrange(150_000)
    return "".join(f"{number}\n" for number in range(choose.randrange(8000)))


def options(choose, modes):
    """How both files are opened."""
    mode = choose.choice(modes)
    keywords = {}
    if "b" not in mode:
        keywords["encoding"] = choose.choice(["utf-8", "utf-16", "utf-8-sig", "latin-1"])
        keywords["newline"] = choose.choice([None, None, "\n", "", "\r\n"])
        keywords["errors"] = choose.choice(["strict", "replace"])
    if choose.random() < 0.2:
        keywords["buffering"] = choose.choice([16, 100, 50_000])
    return mode, keywords


class Reads:
    """One random program that reads."""

    def __init__(self, choose):
        self.choose = choose
        self.positions = [0]

    def step(self):
        """The next method and its arguments."""
        choose = self.choose
        kind = choose.randrange(9)
        if kind < 3:
            return "read", choose.choice([0, 1, 5, 100, 5000, 9000, 300_000])
        if kind == 3:
            return ("read",)
        if kind == 4:
            return "readline", choose.choice([0, 1, 3, 100])
        if kind == 5:
            return "readlines", choose.choice([1, 100, 5000])
        if kind == 6:
            return ("tell",)
        if kind == 7:
            return "seek", choose.choice(self.positions)
        return "seek", 0, choose.choice([0, 1, 2])

    async def run(self, ordinary, file):
        """Do the same on both."""
        for _ in range(self.choose.randrange(50)):
            if self.choose.random() < 0.3:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if self.choose.random() < 0.4:
                for _ in range(self.choose.choice([1, 2, 5, 50])):
                    expected = ordinary.readline()
                    by_iterating = self.choose.random() < 0.5
                    line = await (anext(file, expected[:0]) if by_iterating else file.readline())
                    assert line == expected
                continue
            name, *arguments = self.step()
            expected = outcome(getattr(ordinary, name), *arguments)
            assert await awaited(getattr(file, name), *arguments) == expected, (name, arguments)
            if name == "tell" and isinstance(expected, int):
                self.positions.append(expected)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_reading(run_on_each_loop, path, seed):
    async def main():
        choose = random.Random(seed)
        mode, keywords = options(choose, ["r", "r", "rb", "rb", "r+", "r+b"])
        with open(path, "wb") as prepared:
            prepared.write(content(choose).encode(keywords.get("encoding", "utf-8"), "replace"))
            prepared.flush()
            os.fsync(prepared.fileno())
        with open(path, mode, **keywords) as ordinary:
            async with files.open(path, mode, **keywords) as file:
                await Reads(choose).run(ordinary, file)

    run_on_each_loop(main)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_writing(run_on_each_loop, path, tmp_path, seed):
    async def main():
        choose = random.Random(seed)
        mode, keywords = options(choose, ["w", "wb", "a", "ab", "w+", "w+b"])
        other = tmp_path / "other"
        for each in (path, other):
            each.write_text("before\n" * 100)
        with open(other, mode, **keywords) as ordinary:
            async with files.open(path, mode, **keywords) as file:
                for _ in range(choose.randrange(60)):
                    text = choose.choice(["a", "ä\n", "bcd\n" * 30]) * choose.choice([0, 1, 3, 500, 9000])
                    data = text if "b" not in mode else text.encode()
                    step = choose.choice(
                        [
                            *[("write", data)] * 6,
                            ("writelines", [data, data]),
                            ("flush",),
                            ("tell",),
                            ("seek", choose.randrange(50)),
                            ("truncate",),
                        ]
                    )
                    name, *arguments = step
                    expected = outcome(getattr(ordinary, name), *arguments)
                    assert await awaited(getattr(file, name), *arguments) == expected, (name, arguments)
                    if name == "flush":
                        assert path.read_bytes() == other.read_bytes()
        assert path.read_bytes() == other.read_bytes()

    run_on_each_loop(main)
