"""How wrong arguments are refused: in the order and with the texts of asyncio, in Python or in C."""

import asyncio
import contextvars
import sys
from contextlib import closing

import pytest

from tests.unit.programs import nothing


@pytest.fixture
def refusal():
    def refusal(function, *args, **keywords):
        with pytest.raises(TypeError) as refused:
            function(*args, **keywords)
        return str(refused.value)

    return refusal


class TestFunctions:
    def test_create_task_says_what_is_wrong_before_it_asks_for_a_loop(self, impl, refusal):
        missing = "create_task() missing 1 required positional argument: 'coro'"
        assert refusal(impl.create_task) == missing
        assert refusal(impl.create_task, 1, 2) == "create_task() takes 1 positional argument but 2 were given"

    def test_create_task_gives_a_loop_in_python_what_it_takes(self, impl, make_loop):
        class Loop(type(make_loop())):
            def create_task(self, coro, **options):
                seen.append(options)
                return super().create_task(coro, **options)

        seen = []

        async def main():
            task = impl.create_task(nothing(), name="a name")
            await task
            return task.get_name()

        loop = make_loop(Loop)
        assert loop.run_until_complete(main()) == "a name"
        assert seen[-1] == ({"name": "a name"} if sys.version_info >= (3, 13) else {})


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the interpreter suggests nothing before 3.13")
class TestSuggestions:
    def test_the_name_that_is_meant(self, impl, refusal):
        text = "got an unexpected keyword argument"
        assert refusal(impl.sleep, dely=1) == f"sleep() {text} 'dely'. Did you mean 'delay'?"
        assert refusal(impl.Queue, maxsiz=1) == f"Queue.__init__() {text} 'maxsiz'. Did you mean 'maxsize'?"
        assert refusal(impl.Queue, slf=1) == f"Queue.__init__() {text} 'slf'. Did you mean 'self'?"
        assert refusal(impl.Future, lop=1) == f"Future() {text} 'lop'. Did you mean 'loop'?"
        assert refusal(impl.Task, None, nam=1) == f"Task() {text} 'nam'. Did you mean 'name'?"

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="the loop hands all keywords on")
    def test_keywords_of_a_loop_s_tasks(self, loop, refusal):
        coroutine = nothing()
        assert refusal(loop.create_task, coroutine, nam=1).endswith("'nam'. Did you mean 'name'?")
        coroutine.close()

    def test_no_name_is_near(self, impl, refusal):
        assert refusal(impl.timeout, xyzzy=1) == "timeout() got an unexpected keyword argument 'xyzzy'"


class TestMethods:
    """Methods in Python count `self`, and refuse an unknown keyword first."""

    @pytest.mark.parametrize(
        ("name", "count"),
        [("Runner", "1"), ("Timeout", "2"), ("Lock", "1"), ("Event", "1")],
    )
    def test_too_many(self, impl, refusal, name, count):
        given = 3 if name == "Timeout" else 2
        s = "s" if count != "1" else ""
        text = f"{name}.__init__() takes {count} positional argument{s} but {given} were given"
        assert refusal(getattr(impl, name), *range(given - 1)) == text

    def test_handles(self, impl, refusal):
        text = "Handle.__init__() takes from 4 to 5 positional arguments but 6 were given"
        assert refusal(impl.Handle, 1, 2, 3, 4, 5) == text

    def test_an_unknown_keyword_comes_first(self, impl, refusal):
        text = "Lock.__init__() got an unexpected keyword argument 'unknown'"
        assert refusal(impl.Lock, 1, unknown=2) == text

    def test_keyword_only_arguments_are_counted_too(self, impl, refusal):
        text = (
            "Runner.__init__() takes 1 positional argument "
            "but 3 positional arguments (and 1 keyword-only argument) were given"
        )
        assert refusal(impl.Runner, 1, 2, debug=True) == text

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="watchers were removed in Python 3.14")
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_watchers(self, impl, refusal):
        text = "ThreadedChildWatcher.__init__() takes 1 positional argument but 2 were given"
        assert refusal(impl.ThreadedChildWatcher().__init__, 1) == text
        assert "() takes " in refusal(impl.PidfdChildWatcher, 1)


class TestNatives:
    """What is written in C has the interpreter's texts for functions in C."""

    def test_keywords_are_known_by_their_texts(self, impl, loop):
        """Those of a call that a program writes are also the same objects as the names of parameters."""

        def copied(**keywords):
            return {"".join(list(name)): value for name, value in keywords.items()}

        context = contextvars.copy_context()
        for given in (
            {"loop": loop, "name": "a name", "context": context},
            {"context": context, "name": "a name", "loop": loop},
            copied(name="a name", loop=loop, context=context),
            copied(coro=nothing(), loop=loop, name="a name", context=context),
        ):
            task = impl.Task(**given) if "coro" in given else impl.Task(nothing(), **given)
            loop.run_until_complete(task)
            assert (task.get_loop(), task.get_name()) == (loop, "a name")
        assert impl.Future(**copied(loop=loop)).get_loop() is loop
        assert impl.Future(loop=loop).get_loop() is loop

    def test_absent_and_none_are_the_same(self, impl, run):
        async def main():
            loop = asyncio.get_running_loop()
            task = impl.Task(nothing(), loop=None, name=None, context=None)
            await task
            assert task.get_name().startswith("Task-")
            assert task.get_loop() is impl.Future(loop=None).get_loop() is impl.Future().get_loop() is loop

        run(main())

    def test_a_known_keyword_beside_a_wrong_one(self, impl, loop, refusal):
        unknown = refusal(impl.Task, None, loop=loop, eager=True)
        assert "'eager'" in unknown
        twice = "argument for Task() given by name ('coro') and position (1)"
        assert refusal(impl.Task, None, coro=None) == twice

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
    def test_what_is_not_true_or_false(self, impl, loop):
        class Neither:
            def __bool__(self):
                raise ZeroDivisionError

        with closing(nothing()) as coroutine, pytest.raises(ZeroDivisionError):
            impl.Task(coroutine, loop=loop, eager_start=Neither())

    def test_futures(self, impl, loop, refusal):
        assert refusal(impl.Future, 1) == "Future() takes no positional arguments"
        assert refusal(impl.Future, 1, 2) == "Future() takes at most 1 argument (2 given)"
        future = loop.create_future()
        assert refusal(future.cancel, 1, 2) == "cancel() takes at most 1 argument (2 given)"
        text = "add_done_callback() takes exactly 1 positional argument (0 given)"
        assert refusal(future.add_done_callback) == text
        assert refusal(future.add_done_callback, context=None) == text

    def test_tasks(self, impl, refusal):
        assert refusal(impl.Task) == "Task() missing required argument 'coro' (pos 1)"
        assert refusal(impl.Task, 1, 2) == "Task() takes exactly 1 positional argument (2 given)"
        assert refusal(impl.Task, loop=None) == "Task() missing required argument 'coro' (pos 1)"

    def test_unknown_keywords(self, impl, refusal):
        new, old = "got an unexpected keyword argument", "is an invalid keyword argument for"
        texts = {f"Future() {new} 'unknown'", f"'unknown' {old} Future()"}
        assert refusal(impl.Future, unknown=1) in texts

    def test_throw(self, run, refusal):
        async def main():
            iterator = asyncio.get_running_loop().create_future().__await__()
            assert refusal(iterator.throw) == "throw expected at least 1 argument, got 0"
            coroutine = asyncio.sleep(0)
            assert refusal(coroutine.throw) == "throw expected at least 1 argument, got 0"
            assert refusal(coroutine.throw, typ=1) == "coroutine.throw() takes no keyword arguments"
            coroutine.close()

        run(main())
