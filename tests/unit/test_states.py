"""docs/states.md, played: random events on futures and tasks do what its tables say; every row happens."""

import asyncio
import random
import sys
from pathlib import Path

from tests.unit.programs import turn

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
SEQUENCES = 400
EVENTS = 14


def table(heading):
    """Return the rows of a table of the page: what follows by state and event."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {(state, event): rest for state, event, *rest in cells}


def outcome(call, *arguments):
    """Return what a call returned or raised."""
    try:
        return call(*arguments)
    except BaseException as error:
        return error


class Failure(Exception):
    """What the futures and coroutines of these tests raise."""


class FutureModel:
    """A future beside what the table says of it."""

    def __init__(self, rows, loop):
        self.rows, self.loop = rows, loop
        self.future = loop.create_future()
        self.state = "pending"
        self.failure = Failure()
        self.waiting, self.scheduled, self.called = [], [], []
        self.callbacks = [lambda _, n=n: self.called.append(n) for n in range(3)]

    def play(self, event, n):
        future = self.future
        call = {
            "set_result": lambda: future.set_result("the result"),
            "set_exception": lambda: future.set_exception(self.failure),
            "cancel": future.cancel,
            "get result": future.result,
            "get exception": future.exception,
            "done": future.done,
            "cancelled": future.cancelled,
            "add callback": lambda: future.add_done_callback(self.callbacks[n]),
            "remove callback": lambda: future.remove_done_callback(self.callbacks[n]),
        }[event]
        answer, following, callbacks = self.rows[self.state, event]
        self.check(answer, outcome(call), n)
        match callbacks:
            case "scheduled":
                self.scheduled += self.waiting
                self.waiting = []
            case "this one scheduled":
                self.scheduled.append(n)
            case "one more":
                self.waiting.append(n)
            case "without it":
                self.waiting = [other for other in self.waiting if other != n]
            case _:
                assert callbacks == "kept"
        row, self.state = (self.state, event), following
        return row

    def check(self, answer, got, n):
        match answer:
            case "InvalidStateError" | "CancelledError":
                assert type(got) is getattr(asyncio, answer)
            case "the result":
                assert got == "the result"
            case "the exception" | "the exception, returned":
                assert got is self.failure
            case "their number":
                assert got == self.waiting.count(n)
            case _:
                assert repr(got) == answer

    def turn(self):
        assert self.called == []
        turn(self.loop)
        assert self.called == self.scheduled
        self.scheduled, self.called = [], []


def test_futures(loop):
    rows = table("A future")
    events = sorted({event for _, event in rows})
    played = set()
    for seed in range(SEQUENCES):
        chosen = random.Random(seed)
        model = FutureModel(rows, loop)
        for _ in range(EVENTS):
            if chosen.random() < 0.15:
                model.turn()
            else:
                played.add(model.play(chosen.choice(events), chosen.randrange(3)))
        model.turn()
        model.future.cancelled() or (model.future.done() and model.future.exception())
    assert played == set(rows)


class TaskModel:
    """A task beside what the table says of it. What its coroutine does at each step is random."""

    def __init__(self, rows, loop, impl, chosen):
        self.rows, self.loop, self.chosen = rows, loop, chosen
        self.state, self.requests = "new", 0
        self.played, self.told = set(), []
        self.takes_back = impl.Task is not asyncio.Task or sys.version_info >= (3, 13)
        self.future, self.failure = None, Failure()
        self.task = impl.Task(self.coroutine(), loop=loop)
        self.task.add_done_callback(self.told.append)

    def follow(self, event):
        """Go to the next state; return the answer."""
        row = self.state, event
        answer, self.state = self.rows[row]
        self.played.add(row)
        return answer

    def cancel(self):
        answer = self.follow("cancel")
        assert repr(self.task.cancel()) == answer.split(";")[0]
        self.requests += answer.startswith("True")
        assert self.task.cancelling() == self.requests

    def uncancel(self):
        self.requests = max(self.requests - 1, 0)
        assert self.task.uncancel() == self.requests
        if self.takes_back and self.requests == 0:
            self.state = self.state.removesuffix("*")

    async def coroutine(self):
        got = None
        while True:
            answer = self.follow("step")
            if answer == "gets the outcome of the future":
                expected = outcome(self.future.result)
                assert type(got) is type(expected)
                assert got == expected or isinstance(got, asyncio.CancelledError)
            elif answer != "the coroutine begins":
                assert answer == f"gets {got if got is None else type(got).__name__}"
            while self.chosen.random() < 0.3:
                self.chosen.choice([self.cancel, self.cancel, self.uncancel])()
            if self.chosen.random() < 0.2:
                await self.done_future()
            event = self.chosen.choice(["waits", "waits", "yields", "returns", "raises"])
            if isinstance(got, asyncio.CancelledError) and self.chosen.random() < 0.4:
                event = "lets CancelledError out"
            done = self.follow(event)
            match event:
                case "returns":
                    return "the result"
                case "raises":
                    raise self.failure
                case "lets CancelledError out":
                    raise got
                case "yields":
                    awaited = asyncio.sleep(0)
                case _:
                    awaited = self.future = self.loop.create_future()
            got = None
            try:
                got = await awaited
            except BaseException as error:
                got = error
            if done == "the future is cancelled":
                assert self.future.cancelled()

    async def done_future(self):
        assert self.follow("awaits a done future") == "goes on at once"
        done = self.loop.create_future()
        done.set_result("an outcome")
        assert await done == "an outcome"

    def complete(self):
        [
            lambda: self.future.set_result("an outcome"),
            lambda: self.future.set_exception(Failure()),
            self.future.cancel,
        ][self.chosen.randrange(3)]()

    def play(self):
        """Do one thing from outside the coroutine."""
        choice = self.chosen.random()
        if choice < 0.25:
            self.cancel()
        elif choice < 0.35:
            self.uncancel()
        elif choice < 0.6 and self.state == "waiting":
            self.follow("the future is done")
            self.complete()
        else:
            if self.state == "new*":
                self.follow("step")
            turn(self.loop)
        self.check()

    def check(self):
        if self.state in ("result", "exception", "cancelled"):
            assert self.task.done()
            turn(self.loop)
            assert self.told == [self.task]
            got = outcome(self.task.result)
            match self.state:
                case "result":
                    assert got == "the result"
                case "exception":
                    assert got is self.failure
                case _:
                    assert type(got) is asyncio.CancelledError and self.task.cancelled()
        else:
            assert not self.task.done() and self.told == []


def test_tasks(impl, loop):
    rows = table("A task")
    played = set()
    for seed in range(SEQUENCES):
        model = TaskModel(rows, loop, impl, random.Random(seed))
        for _ in range(EVENTS):
            model.play()
        while not model.task.done():
            model.play()
        played |= model.played
        # What nobody asked for is not to be reported.
        if model.future and model.future.done() and not model.future.cancelled():
            model.future.exception()
    assert played == set(rows)
