"""`yibu.watch()`: a step that blocks its loop is reported while it does. The steps here block until then."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from textwrap import dedent

import pytest
import yibu
from yibu.observing import Blockage, Line, OtherThread, Stack
from yibu.observing.cause import Evidence

pytestmark = pytest.mark.yibu_only

PACKAGE_ROOT = str(Path(yibu.__file__).parents[1])
PATIENCE = 20
"""Seconds after which a step gives up waiting for its report."""


class Reports:
    """An `on_block` that keeps what it gets, and ends the step."""

    def __init__(self):
        self.seen = threading.Event()
        self.over = threading.Event()
        self.all = []

    def __call__(self, blockage):
        self.all.append(blockage)
        (self.over if blockage.over else self.seen).set()

    def block(self):
        assert self.seen.wait(PATIENCE)


async def outer(reports):
    await inner(reports)


async def inner(reports):
    reports.block()


def test_reports_a_step_while_it_runs_and_when_it_is_over(make_loop):
    loop, reports = make_loop(), Reports()
    with yibu.watch(0.02, reports) as watch:
        loop.run_until_complete(loop.create_task(outer(reports), name="the slow one"))
        assert reports.over.wait(PATIENCE)
    first, last = reports.all
    assert (first.over, last.over) == (False, True)
    assert first.loop is loop and first.number == last.number
    assert first.task_name == first.task.get_name() == "the slow one"
    assert [line.function for line in first.coroutines] == ["outer", "inner"]
    assert first.coroutines[-1].text == "reports.block()"
    assert first.stacks[0].lines[-1].function == "outer"
    assert any(line.function == "Reports.block" for line in first.stacks[0].lines)
    assert first.thread_id == threading.get_ident() and first.thread_name == threading.current_thread().name
    assert 0.02 <= first.seconds <= last.seconds
    assert watch.count == 1
    with pytest.raises(AttributeError):
        first.seconds = 0


def test_a_callback(make_loop):
    loop, reports = make_loop(), Reports()

    def callback():
        reports.block()
        loop.stop()

    with yibu.watch(0.02, reports):
        loop.call_soon(callback)
        loop.run_forever()
        assert reports.over.wait(PATIENCE)
    first = reports.all[0]
    assert first.task is first.task_name is None
    assert "test_a_callback.<locals>.callback" in [line.function for line in first.stacks[0].lines]
    assert "in a callback" in str(first)


def test_a_step_that_computes(make_loop):
    reports = Reports()

    async def compute():
        while not reports.all:
            pass

    with yibu.watch(0.05, reports):
        make_loop().run_until_complete(compute())
        assert reports.over.wait(PATIENCE)
    # Where others keep the processors it has one too seldom.
    assert reports.all[0].cause in ("computes", "processor")
    assert reports.all[0].line.function.endswith("compute")


def test_a_step_that_waits_in_a_system_call(make_loop):
    reports = Reports()
    read, write = os.pipe()

    def report(blockage):
        reports(blockage)
        if not blockage.over:
            os.write(write, b"!")

    async def receive():
        os.read(read, 1)

    with yibu.watch(0.05, report):
        make_loop().run_until_complete(receive())
        assert reports.over.wait(PATIENCE)
    os.close(read)
    os.close(write)
    assert reports.all[0].cause in ("system call", "unknown")
    assert reports.all[0].line.text == "os.read(read, 1)"


def test_a_loop_that_waits_for_the_interpreter(make_loop):
    found = threading.Event()

    def hog():
        while not found.is_set():
            sum(range(2_000_000))

    def report(blockage):
        if blockage.cause == "interpreter":
            other.append(blockage.other_thread)
            found.set()

    async def work():
        thread = threading.Thread(target=hog, name="the hog")
        thread.start()
        while not found.is_set():
            await asyncio.sleep(0.001)
        thread.join()

    other = []
    with yibu.watch(0.01, report):
        make_loop().run_until_complete(asyncio.wait_for(work(), PATIENCE))
    assert other[0].name == "the hog"
    assert other[0].lines[0].text == "sum(range(2_000_000))"


def test_loops_of_all_threads_also_those_made_later():
    reports = {"first": Reports(), "second": Reports()}

    def report(blockage):
        if blockage.task_name in reports:
            reports[blockage.task_name](blockage)

    def run(name):
        loop = yibu.new_event_loop()
        loop.run_until_complete(loop.create_task(inner(reports[name]), name=name))
        loop.close()

    with yibu.watch(0.05, report):
        threads = [threading.Thread(target=run, args=(name,), name=f"of {name}") for name in reports]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(of.over.wait(PATIENCE) for of in reports.values())
    assert {of.all[0].thread_name for of in reports.values()} == {"of first", "of second"}


def test_a_loop_that_waits_for_work_is_not_blocked(make_loop):
    loop, reports = make_loop(), Reports()
    with yibu.watch(0.3, reports):
        loop.run_until_complete(asyncio.sleep(0.7))
        assert reports.all == []
        loop.run_until_complete(inner(reports))


def test_a_loop_with_a_selector_of_the_program(make_loop):
    import selectors

    class Selector(selectors.SelectSelector):
        pass

    loop, reports = make_loop(lambda: yibu.EventLoop(Selector())), Reports()
    with yibu.watch(0.3, reports):
        loop.run_until_complete(asyncio.sleep(0.7))
        assert reports.all == []
        loop.run_until_complete(inner(reports))
        assert [line.function for line in reports.all[0].coroutines] == ["inner"]


def test_an_exception_of_on_block_goes_to_the_handler_of_the_loop(make_loop):
    loop, reports, contexts = make_loop(), Reports(), []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    error = ValueError("of the report")

    def report(blockage):
        reports(blockage)
        raise error

    with yibu.watch(0.02, report):
        loop.run_until_complete(inner(reports))
        assert reports.over.wait(PATIENCE)
    loop.run_until_complete(asyncio.sleep(0))
    assert [context["exception"] for context in contexts] == [error, error]
    assert contexts[0]["blockage"] is reports.all[0]


def test_on_block_that_exits_does_not_end_the_watchdog(make_loop):
    loop, reports, contexts = make_loop(), Reports(), []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))

    def report(blockage):
        reports(blockage)
        sys.exit(5)

    with yibu.watch(0.02, report):
        loop.run_until_complete(inner(reports))
        assert reports.over.wait(PATIENCE)
    loop.run_until_complete(asyncio.sleep(0))
    assert [type(context["exception"]) for context in contexts] == [SystemExit, SystemExit]


def test_on_block_that_cannot_be_called():
    with pytest.raises(TypeError, match="on_block must be callable or None, not 5"):
        yibu.watch(0.1, 5)


def test_stop_in_the_step_that_blocks_reports_it(make_loop):
    reports = Reports()

    async def block():
        with yibu.watch(0.02, reports):
            reports.block()
        assert reports.all[-1].over

    make_loop().run_until_complete(block())
    assert len(reports.all) == 2


def test_stop_may_be_called_again_and_by_on_block(make_loop):
    reports = Reports()

    def report(blockage):
        watch.stop()
        reports(blockage)

    watch = yibu.watch(0.02, report)
    assert "watching" in repr(watch)
    make_loop().run_until_complete(inner(reports))
    watch.stop()
    assert "stopped blockages=1" in repr(watch)
    assert not watch.thread.is_alive()


def test_a_loop_is_not_kept(make_loop):
    with yibu.watch(0.02, lambda _blockage: None):
        loop = yibu.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        known = weakref.ref(loop)
        del loop
        gc.collect()
        assert known() is None
        make_loop().run_until_complete(asyncio.sleep(0.05))


@pytest.mark.parametrize("threshold", [0, -1, float("inf"), float("nan")])
def test_no_such_threshold(threshold):
    with pytest.raises(ValueError, match="positive number of seconds"):
        yibu.watch(threshold)


def test_the_log(make_loop, caplog):
    over = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record):
            (over if "blocked the event loop" in record.getMessage() else seen).set()

    seen, handler = threading.Event(), Handler()
    logger = logging.getLogger("yibu")

    async def block():
        assert seen.wait(PATIENCE)

    loop = make_loop()
    with caplog.at_level(logging.WARNING, "yibu"):
        logger.addHandler(handler)
        with yibu.watch(0.05):
            loop.run_until_complete(loop.create_task(block(), name="blocking"))
            assert over.wait(PATIENCE)
        logger.removeHandler(handler)
    first, last = (record.getMessage().splitlines() for record in caplog.records)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert first[0].endswith(": assert seen.wait(PATIENCE)")
    assert " s so far, in task 'blocking' (" in first[1] and "block)" in first[1]
    assert "most recent call first:" in first[3]
    assert any(line.strip() == "assert seen.wait(PATIENCE)" for line in first)
    assert "blocked the event loop for " in last[1]


def blockage(**values):
    line = Line(__file__, 1, "function", False)
    default = {
        "loop": None, "number": 1, "over": False, "seconds": 0.25, "cause": "computes", "task": None,
        "task_name": None, "thread_name": "MainThread", "thread_id": 1, "stacks": (Stack((line,), 3),),
        "cpu_seconds": 0.2, "sampled_seconds": 0.25, "interpreter_wait": 0.0, "other_thread": None,
    }  # fmt: skip
    return Blockage(**default | values)


def test_texts():
    hog = OtherThread("hog", 7, 0.2, (Line("gone.py", 5, "spin", False),))
    text = str(blockage(cause="interpreter", other_thread=hog))
    assert text.startswith("gone.py:5 in spin\n")
    assert "which thread 'hog' keeps" in text and "Stack of thread 'hog', most" in text
    assert "A step that ended before" in str(blockage(stacks=()))
    assert "did not let go of the interpreter for 0.250 s" in str(blockage(interpreter_wait=0.25))
    assert "has a processor only for 10% of" in str(blockage(cause="processor", cpu_seconds=0.025))
    two = (Stack((Line("a.py", 1, "a", False),), 3), Stack((Line("a.py", 2, "a", False),), 1))
    assert "3 of 4 samples: a.py:1 in a" in str(blockage(over=True, stacks=two))
    deep = (Stack(tuple(Line("a.py", number, "a", False) for number in range(20)), 1),)
    assert "... and 4 more" in str(blockage(stacks=deep))


def test_the_line_is_the_programs():
    lines = (Line(threading.__file__, 1, "wait", False), Line("own.py", 2, "waits", False))
    assert str(blockage(stacks=(Stack(lines, 1),))).startswith("own.py:2 in waits\n")
    assert "1 of 2 samples: own.py:2 in waits" in str(blockage(stacks=(Stack(lines, 1),) * 2, over=True))
    assert blockage(stacks=(Stack(lines[:1], 1),)).line == lines[0]


def test_a_call_that_keeps_the_interpreter():
    text = str(blockage(cause="system call", interpreter_wait=2.9))
    assert "The step waits in a system call. It did not let go of the interpreter for 2.900 s." in text
    text = str(blockage(cause="interpreter", stacks=(), interpreter_wait=2.9))
    assert "  blocked the event loop for 0.250 s, in a step" in text
    assert "waits for the interpreter (GIL), which another thread keeps." in text


def test_a_thread_that_keeps_the_interpreter_and_sleeps():
    """A C function of another thread that does not compute: the report names the thread and the line."""
    out, err = run_program(
        """
        import asyncio, ctypes, threading, yibu

        pause = ctypes.PyDLL(None).usleep
        seen = []

        def converts():
            while not seen:
                pause(400_000)

        async def main():
            thread = threading.Thread(target=converts, name="converter")
            thread.start()
            while not seen:
                await asyncio.sleep(0.001)
            thread.join()

        def report(blockage):
            if blockage.cause == "interpreter" and blockage.other_thread is not None:
                seen.append(blockage)

        with yibu.watch(0.05, report):
            yibu.run(asyncio.wait_for(main(), 15))
        print(seen[0].other_thread.name, seen[0].other_thread.lines[0].function)
        """,
        "-c",
    )
    assert (out, err) == ("converter converts\n", "")


def test_a_callback_of_a_program_that_the_command_has_started():
    """The stack begins with the program, not with what has started it."""
    out, err = run_program(
        """
        import asyncio, threading, yibu

        seen, stacks = threading.Event(), []

        def report(blockage):
            stacks.append(blockage.stacks[0].lines)
            seen.set()

        async def main():
            loop = asyncio.get_running_loop()
            loop.call_soon(seen.wait, 15)
            await asyncio.sleep(0.01)

        with yibu.watch(0.05, report):
            asyncio.run(main())
        print(stacks[0][-1].function, any("yibu" in line.file for line in stacks[0]))
        """,
        "-m",
        "yibu",
        "-c",
    )
    assert (out, err) == ("<module> False\n", "")


@pytest.mark.parametrize(
    ("samples", "cause"),
    [
        ([("runs", 0.0, 0.1, 0.09, [])], "computes"),
        ([("futex", 0.9, 1.0, 0.9, [(7, 0.05)])], "computes"),
        ([("blocked", 0.0, 0.1, 0.0, [])], "system call"),
        ([("blocked", 0.01, 0.1, 0.0, [(7, 0.09)])], "system call"),
        ([("futex", 0.0, 0.1, 0.0, [])], "lock"),
        ([("futex", 0.0, 0.1, 0.0, [(7, 0.09)])], "lock"),
        ([("futex", 0.02, 0.1, 0.01, [(7, 0.08)])], "interpreter"),
        ([("futex", 2.9, 3.0, 0.0, [])], "interpreter"),
        ([("futex", 0.06, 3.0, 0.0, [])], "lock"),
        ([("blocked", 2.9, 3.0, 0.0, [])], "system call"),
        ([("runs", 0.0, 0.1, 0.01, [])], "processor"),
        ([("runs", 0.0, 0.1, 0.0, [])], "processor"),
        ([("runs", 0.0, 0.1, 0.001, [(7, 0.09)])], "interpreter"),
        ([("unknown", 0.0, 0.1, 0.0, [])], "unknown"),
        ([("runs", 0.0, 0.1, None, [])], "unknown"),
        ([("runs", 0.0, 0.1, 0.09, []), *[("blocked", 0.0, 0.2, 0.0, [])] * 3], "system call"),
        ([], "unknown"),
    ],
)
def test_causes(samples, cause):
    evidence = Evidence()
    for sample in samples:
        evidence.add(*sample)
    assert evidence.cause() == cause


def run_program(source, *options, status=0, **variables):
    """Run a program in an interpreter where warnings are errors; return what it printed and said."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "YIBU"))}
    process = subprocess.run(
        [sys.executable, "-W", "error", *options, dedent(source)],
        env=env | {"PYTHONPATH": PACKAGE_ROOT} | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == status, process
    return process.stdout, process.stderr


BLOCKING = """
import asyncio, logging, threading

class Handler(logging.Handler):
    def emit(self, record):
        print(record.getMessage().splitlines()[1].split(" for ")[0].strip())
        seen.set()

seen = threading.Event()
logging.getLogger("yibu").addHandler(Handler())

async def main():
    assert seen.wait(15)

"""


def test_from_the_command_line():
    for option in (["--watch", "0.05"], ["--watch=0.05"], ["-W", "error", "--watch", "0.05"]):
        out, err = run_program(BLOCKING + "asyncio.run(main())", "-m", "yibu", *option, "-c")
        assert (out.splitlines()[0], err) == ("blocks the event loop", "")


def test_from_the_environment():
    source = "import yibu\n" + BLOCKING + "yibu.run(main())"
    out, err = run_program(source, "-c", YIBU_WATCH="0.05")
    assert (out.splitlines()[0], err) == ("blocks the event loop", "")
    assert run_program(
        "import yibu.observing.background as b; print(len(b._workers))", "-c", YIBU_WATCH="0"
    ) == ("0\n", "")


def test_thresholds_that_are_none():
    _, err = run_program("pass", "-m", "yibu", "--watch", "soon", "-c", status=2)
    assert "--watch must be a positive number of seconds, not 'soon'" in err
    _, err = run_program("import yibu", "-c", YIBU_WATCH="-1")
    assert err == "yibu: YIBU_WATCH must be a positive number of seconds, not '-1'\n"


def test_forks():
    """Both processes watch on, and the interpreter does not warn of a fork beside a thread."""
    out, err = run_program(
        """
        import os, threading, yibu

        seen = threading.Event()

        async def main():
            assert seen.wait(15)

        with yibu.watch(0.05, lambda blockage: seen.set()) as watch:
            yibu.run(main())
            seen.clear()
            child = os.fork()
            yibu.run(main())
            if child:
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                print(len(threading.enumerate()))
        print(len(threading.enumerate()), flush=True)
        os._exit(0)
        """,
        "-c",
    )
    assert (sorted(out.split()), err) == (["1", "1", "2"], "")


def test_a_fork_within_a_step():
    out, err = run_program(
        """
        import os, threading, yibu

        async def main():
            child = os.fork()
            if child:
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            else:
                os._exit(7)

        yibu.watch(0.01, lambda blockage: None)
        yibu.run(main())
        """,
        "-c",
    )
    assert (out, err) == ("7\n", "")


def test_a_child_that_works_within_the_step_that_forked():
    """The loop of the parent does not run in the child, so what the child does blocks no loop."""
    out, err = run_program(
        """
        import os, time, yibu

        async def main():
            child = os.fork()
            if child:
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            else:
                deadline = time.monotonic() + 0.3
                while time.monotonic() < deadline:
                    time.sleep(0.01)
                os._exit(watch.count)

        watch = yibu.watch(0.02, lambda blockage: None)
        yibu.run(main())
        """,
        "-c",
    )
    assert (out, err) == ("0\n", "")


def test_a_child_that_goes_on_with_the_loop_of_its_parent():
    """From its next wait on the loop is the child's, and what blocks it is seen there."""
    out, err = run_program(
        """
        import os, threading, time, yibu

        seen = threading.Event()

        async def main():
            loop = yibu.get_running_loop()
            waited = loop.create_future()
            child = os.fork()
            if child:
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            else:
                loop.call_later(0.01, waited.set_result, None)
                await waited
                deadline = time.monotonic() + 15
                while not seen.is_set() and time.monotonic() < deadline:
                    time.sleep(0.01)
                os._exit(seen.is_set())

        yibu.watch(0.02, lambda blockage: seen.set() if os.getpid() != parent else None)
        parent = os.getpid()
        yibu.run(main())
        """,
        "-c",
    )
    assert (out, err) == ("1\n", "")


def test_the_end_of_the_interpreter():
    """A watchdog that nobody stops ends with the interpreter, also while a loop of another thread blocks."""
    source = """
        import threading, time, yibu

        async def block():
            started.set()
            time.sleep(10)

        started, seen = threading.Event(), threading.Event()
        yibu.watch(0.02, lambda blockage: seen.set())
        threading.Thread(target=lambda: yibu.run(block()), daemon=True).start()
        assert seen.wait(15)
        print("end")
        """
    assert run_program(source, "-c") == ("end\n", "")


def test_a_run_within_a_run():
    """The step that runs the loop itself does not block it."""
    out, err = run_program(
        """
        import asyncio, threading, yibu

        seen, names = threading.Event(), []

        def report(blockage):
            names.append(blockage.line.function if blockage.task is None else blockage.task_name)
            seen.set()

        async def block():
            assert seen.wait(15)

        async def main():
            loop = asyncio.get_running_loop()
            loop.run_until_complete(asyncio.sleep(0.7))
            loop.run_until_complete(loop.create_task(block(), name="inner"))

        yibu.allow_nested()
        with yibu.watch(0.3, report):
            yibu.run(main())
        print(names[0])
        """,
        "-c",
    )
    assert (out, err) == ("inner\n", "")
