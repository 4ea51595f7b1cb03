"""Contexts of handles: those made in one context may share copies of it, which nobody may notice."""

import asyncio
import contextvars
import gc
import sys
import threading
import weakref

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")

#: More than one, so that there is something to share.
MANY = 4

SCHEDULERS = {
    "call_soon": lambda loop, *call: loop.call_soon(*call),
    "call_soon_threadsafe": lambda loop, *call: loop.call_soon_threadsafe(*call),
    "call_later": lambda loop, *call: loop.call_later(0, *call),
    "call_at": lambda loop, *call: loop.call_at(loop.time(), *call),
}


@pytest.fixture(params=SCHEDULERS)
def schedule(request, loop):
    """Schedule a callback on the loop, in each of the ways that copy the current context."""
    return lambda *call: SCHEDULERS[request.param](loop, *call)


class Value:
    """The value of a variable, to be referenced weakly."""


def in_loop(loop, function):
    """Run a function in a task, and what it schedules in some turns after that."""

    async def main():
        answer = function()
        for _ in range(3):
            await asyncio.sleep(0.001)
        return answer

    return loop.run_until_complete(main())


def test_callbacks_do_not_see_what_others_set(loop, schedule):
    seen = []

    def callback(number):
        seen.append(VARIABLE.get())
        VARIABLE.set(number)
        seen.append(VARIABLE.get())

    in_loop(loop, lambda: [schedule(callback, number) for number in range(MANY)])
    assert seen == ["unset", 0, "unset", 1, "unset", 2, "unset", 3]


def test_only_some_callbacks_set_something(loop, schedule):
    seen = []

    def sets(number):
        VARIABLE.set(number)

    def looks():
        seen.append(VARIABLE.get())

    def main():
        for number in range(MANY):
            schedule(looks)
            schedule(sets, number)
            schedule(looks)

    in_loop(loop, main)
    assert seen == ["unset"] * 2 * MANY


def test_each_callback_sees_the_values_of_its_scheduling(loop, schedule):
    seen = []

    def main():
        for number in range(MANY):
            VARIABLE.set(number)
            for _ in range(MANY):
                schedule(lambda: seen.append(VARIABLE.get()))

    in_loop(loop, main)
    assert seen == [number for number in range(MANY) for _ in range(MANY)]


def test_a_value_that_was_set_and_reset_is_the_former_one(loop, schedule):
    seen = []

    def main():
        for number in range(MANY):
            schedule(lambda: seen.append(VARIABLE.get()))
            token = VARIABLE.set(number)
            schedule(lambda: seen.append(VARIABLE.get()))
            VARIABLE.reset(token)

    in_loop(loop, main)
    assert seen == ["unset", 0, "unset", 1, "unset", 2, "unset", 3]


def test_what_callbacks_schedule_inherits_from_them(loop, schedule):
    seen = []

    def first(number):
        VARIABLE.set(number)
        schedule(second)
        schedule(second)

    def second():
        seen.append(VARIABLE.get())

    in_loop(loop, lambda: [schedule(first, number) for number in range(MANY)])
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_context_given_is_the_one_that_is_used(loop):
    contexts = [contextvars.copy_context() for _ in range(2)]

    def main():
        for context in contexts:
            for number in range(MANY):
                loop.call_soon(lambda: None)
                loop.call_soon(VARIABLE.set, number, context=context)

    in_loop(loop, main)
    assert [context[VARIABLE] for context in contexts] == [MANY - 1] * 2


def test_callbacks_of_other_threads(loop):
    seen = []

    def callback(number):
        seen.append((number, VARIABLE.get()))
        VARIABLE.set("set by a callback")

    def post(value):
        VARIABLE.set(value)
        for number in range(MANY):
            loop.call_soon_threadsafe(callback, number)

    def main():
        for value in ("first", "second"):
            thread = threading.Thread(target=post, args=(value,))
            thread.start()
            thread.join()

    in_loop(loop, main)
    assert seen == [(number, value) for value in ("first", "second") for number in range(MANY)]


class TestContextOfHandle:
    def test_is_its_own(self, loop, schedule):
        handles = in_loop(loop, lambda: [schedule(lambda: None) for _ in range(MANY)])
        contexts = [handle._context for handle in handles]
        assert len({id(context) for context in contexts}) == MANY
        assert [handle._context for handle in handles] == contexts

    def test_has_what_the_callback_set(self, loop, schedule):
        handles = in_loop(loop, lambda: [schedule(VARIABLE.set, number) for number in range(MANY)])
        assert [handle._context[VARIABLE] for handle in handles] == list(range(MANY))

    def test_is_the_one_that_the_callback_runs_in(self, loop, schedule):
        seen = []

        def main():
            handles = [schedule(lambda: seen.append(handles[len(seen)]._context)) for _ in range(MANY)]
            before = [handle._context for handle in handles[1:]]
            return handles, before

        handles, before = in_loop(loop, main)
        assert seen == [handle._context for handle in handles]
        assert seen[1:] == before

    def test_can_be_looked_at_before_the_callback_runs(self, loop, schedule):
        def main():
            handles = [schedule(lambda: None) for _ in range(MANY)]
            for number, handle in enumerate(handles):
                handle._context.run(VARIABLE.set, number)
            return handles

        handles = in_loop(loop, main)
        assert [handle._context[VARIABLE] for handle in handles] == list(range(MANY))
        assert VARIABLE.get() == "unset"

    def test_can_be_replaced(self, loop, schedule):
        seen = []
        context = contextvars.copy_context()
        context.run(VARIABLE.set, "replaced")

        def main():
            handles = [schedule(lambda: seen.append(VARIABLE.get())) for _ in range(MANY)]
            handles[2]._context = context

        in_loop(loop, main)
        assert seen == ["unset", "unset", "replaced", "unset"]

    def test_stays_when_the_handle_is_run_by_hand(self, loop, schedule):
        seen = []

        def callback():
            seen.append(VARIABLE.get())
            VARIABLE.set("set")

        def main():
            handles = [schedule(callback) for _ in range(MANY)]
            handles[2]._run()
            assert handles[2]._context[VARIABLE] == "set"

        in_loop(loop, main)
        assert seen == ["unset", "unset", "unset", "set", "unset"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="exception handlers run in the context since 3.12")
def test_the_exception_handler_sees_what_the_callback_set(loop, schedule):
    seen = []
    loop.set_exception_handler(lambda _loop, report: seen.append(VARIABLE.get()))

    def fails(number):
        VARIABLE.set(number)
        raise ValueError("asked for")

    in_loop(loop, lambda: [schedule(fails, number) for number in range(MANY)])
    assert seen == list(range(MANY))


def test_values_do_not_outlive_the_turn_of_the_last_callback(loop, schedule):
    def main():
        value = Value()
        context = contextvars.copy_context()

        def schedules():
            VARIABLE.set(value)
            for _ in range(MANY):
                schedule(lambda: None)

        context.run(schedules)
        return weakref.ref(value)

    reference = in_loop(loop, main)
    gc.collect()
    assert reference() is None


def test_values_of_cancelled_handles_do_not_wait_with_the_loop(loop):
    async def main():
        def schedules():
            value = Value()
            VARIABLE.set(value)
            for _ in range(MANY):
                loop.call_soon(lambda: None).cancel()
            return weakref.ref(value)

        reference = contextvars.copy_context().run(schedules)
        woken = loop.create_future()
        found = []

        def look():
            gc.collect()
            found.append(reference())
            loop.call_soon_threadsafe(woken.set_result, None)

        timer = threading.Timer(0.05, look)
        timer.start()
        await woken
        timer.join()
        return found

    assert loop.run_until_complete(main()) == [None]


def test_a_loop_that_runs_within_a_callback(impl, loop, make_loop):
    seen = []

    def callback(number):
        VARIABLE.set(number)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        seen.append(VARIABLE.get())

    def other():
        inner = impl.new_event_loop()
        try:
            in_loop(inner, lambda: [inner.call_soon(VARIABLE.set, "inner") for _ in range(MANY)])
        finally:
            inner.close()

    in_loop(loop, lambda: [loop.call_soon(callback, number) for number in range(MANY)])
    assert seen == list(range(MANY))

    def test_is_not_used_again_once_somebody_has_it(self, loop, schedule):
        kept = []

        def main():
            handles = [schedule(lambda: kept.append(handles[len(kept)]._context)) for _ in range(MANY)]
            return handles

        handles = in_loop(loop, main)
        for number, context in enumerate(kept):
            context.run(VARIABLE.set, number)
        assert [handle._context[VARIABLE] for handle in handles] == list(range(MANY))
        assert len({id(context) for context in kept}) == MANY

    def test_refuses_to_be_entered_by_the_callback(self, loop, schedule):
        refused = []

        def callback(number):
            try:
                handles[number]._context.run(lambda: None)
            except RuntimeError as error:
                refused.append(str(error))

        handles = []
        in_loop(loop, lambda: handles.extend(schedule(callback, number) for number in range(MANY)))
        assert len(refused) == MANY
        assert all("already entered" in text for text in refused)
