"""What the texts of inspection make of names, numbers and holders: no name forges a line or fills a page."""

import io
import json
import re
import sys
import types

import pytest
import yibu
from yibu.inspection import asyncio_form, dumping, encoding, wording

pytestmark = [pytest.mark.yibu_only, pytest.mark.usefixtures("without_threads_of_the_tests")]

FORGED = "x\nDEADLOCK: fake \x1b[31mred\u2028\udcff\u202e"
ESCAPED = r"x\nDEADLOCK: fake \x1b[31mred\u2028\udcff\u202e"


def see(*named, keep=True, turns=6):
    """The tree with a task for each pair of a name and a coroutine function."""

    async def main():
        tasks = [yibu.create_task(function(), name=name) for name, function in named]
        if not keep:
            del tasks
        for _ in range(turns):
            await yibu.sleep(0)
        tree = yibu.ps()
        pending = [task for task in yibu.all_tasks() if task is not yibu.current_task()]
        for task in pending:
            task.cancel()
        await yibu.wait(pending)
        return tree

    return yibu.run(main())


async def sleeps():
    await yibu.sleep(100)


def words(tree, name):
    return next(task.waits_for for task in tree if task.name == name)


def problem(tree, kind):
    return next(one for one in tree.problems if one.kind == kind)


class TestNames:
    def texts(self, tree):
        from yibu.inspection.tree import tree_text

        return [str(tree), tree_text(tree), asyncio_form.table(tree), asyncio_form.tree_text(tree)]

    def test_control_characters_are_escaped(self):
        lock = yibu.Lock()

        async def holds():
            async with lock, lock:
                pass

        tree = see((FORGED, holds), ("other", sleeps))
        for text in self.texts(tree):
            assert ESCAPED in text
            assert all(line.isprintable() for line in text.split("\n"))
            assert not any(line.startswith("DEADLOCK: fake") for line in text.splitlines())
        assert f"DEADLOCK: '{ESCAPED}' waits for a Lock" in str(tree)

    def test_a_long_name_is_cut_in_text_only(self):
        name = "n" * 100_000
        tree = see((name, sleeps))
        for text in self.texts(tree):
            assert "n" * 200 + "..." in text and len(text) < 5000
        assert name in [task["name"] for task in json.loads(encoding.encode(tree))["tasks"]]

    def test_a_long_name_in_words(self):
        name = "n" * 1000

        async def waits():
            await yibu.create_task(yibu.sleep(100), name=name)

        assert words(see(("waits", waits)), "waits") == f"result of task '{'n' * 200}...'"

    def test_other_alphabets_stay(self):
        assert "名前 é 🐍" in str(see(("名前 é 🐍", sleeps)))

    def test_a_dump_is_printed_whatever_the_encoding(self, monkeypatch):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
        monkeypatch.setattr(sys, "stderr", stream)

        async def main():
            yibu.current_task().set_name("名\n\udcff")
            dumping.dump()

        yibu.run(main())
        stream.seek(0)
        assert r"- \u540d\n\udcff is running" in stream.read()


class TestLost:
    def test_all_are_named(self):
        tree = see(*((f"lost {number}", sleeps) for number in range(20)), keep=False)
        assert all(f"'lost {number}'" in problem(tree, "lost").words for number in range(20))

    def test_very_many_are_counted(self):
        tree = see(*((f"lost {number}", sleeps) for number in range(25)), keep=False)
        assert "'lost 19' and 5 more, and nobody" in problem(tree, "lost").words


class TestHolders:
    def test_all_holders_of_a_semaphore_are_part_of_a_deadlock(self):
        semaphore = yibu.Semaphore(2)

        async def twice():
            async with semaphore:
                await yibu.sleep(0)
                async with semaphore:
                    pass

        found = problem(see(("S1", twice), ("S2", twice)), "deadlock").words
        assert found == "'S1' waits for a Semaphore held by 'S1' and 'S2'"

    def test_who_holds_a_semaphore_twice_is_named_once(self):
        semaphore = yibu.Semaphore(2)

        async def twice():
            async with semaphore, semaphore:
                await yibu.sleep(100)

        async def waits():
            async with semaphore:
                pass

        assert words(see(("both", twice), ("waits", waits)), "waits") == "Semaphore held by task 'both'"

    def test_a_holder_that_has_ended(self):
        lock = yibu.Lock()

        async def ends():
            await lock.acquire()

        async def waits():
            async with lock:
                pass

        with yibu.inspect(socket=False):
            tree = see(("fin", ends), ("waits", waits))
        assert re.fullmatch(r"Lock held for [\d.]+ s by task 'fin', which has ended", words(tree, "waits"))


class TestArticles:
    def test_a_future_of_a_class(self):
        class Evil(yibu.Future):
            pass

        async def waits():
            await Evil()

        assert words(see(("waits", waits)), "waits") == "an Evil"

    @pytest.mark.parametrize(
        ("what", "with_article"), [("Lock", "a Lock"), ("Event", "an Event"), ("", "a ")]
    )
    def test_with_article(self, what, with_article):
        assert wording.with_article(what) == with_article


def test_a_future_of_a_library_is_shown_with_the_function_that_awaits_it():
    source = "async def read(self):\n    await self.waiter\n"
    library = {"__name__": "networking.protocol"}
    exec(compile(source, "/usr/lib/python3.13/site-packages/networking/protocol.py", "exec"), library)

    async def fetches():
        await library["read"](types.SimpleNamespace(waiter=yibu.get_running_loop().create_future()))

    tree = see(("fetcher", fetches))
    assert words(tree, "fetcher") == "a Future awaited in networking.protocol.read"
    fetcher = next(task for task in tree if task.name == "fetcher")
    assert fetcher.place.function.endswith("fetches")
    assert [frame.function for frame in fetcher.stack][-1] == "read"


def test_columns_of_wide_names():
    tree = see(("東京", waits_long), ("e\u0301", waits_long), ("plain", waits_long))
    lines = [line for line in str(tree).splitlines() if " waiting " in line and "main" not in line]
    assert len({wording.width_of(line[: line.index("waiting")]) for line in lines}) == 1
    assert (wording.width_of("東京"), wording.width_of("e\u0301"), wording.width_of("ab")) == (4, 1, 2)


async def waits_long():
    await yibu.sleep(100)
