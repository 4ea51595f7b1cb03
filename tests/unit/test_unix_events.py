"""asyncio.unix_events: signals, and what happens to a loop when its process forks."""

import asyncio
import os
import signal
import sys
import threading

import pytest

from tests.unit.programs import turn


@pytest.fixture(autouse=True)
def signals_are_restored():
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    assert signal.set_wakeup_fd(-1) == -1


class TestSignalHandlers:
    def test_handler_is_called_on_the_loop_with_its_arguments(self, loop):
        called = []

        def handler(*args):
            called.append((args, asyncio.get_running_loop()))
            loop.stop()

        assert loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two") is None
        loop.call_soon(signal.raise_signal, signal.SIGUSR1)
        loop.run_forever()
        assert called == [((1, "two"), loop)]
        assert loop.remove_signal_handler(signal.SIGUSR1) is True
        assert loop.remove_signal_handler(signal.SIGUSR1) is False

    def test_wakes_a_parked_loop(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()

    def test_a_signal_while_the_loop_is_stopped_waits_for_it(self, loop):
        called = []

        def handler():
            called.append(True)
            loop.stop()

        loop.add_signal_handler(signal.SIGUSR1, handler)
        turn(loop)
        signal.raise_signal(signal.SIGUSR1)
        assert called == []
        loop.run_forever()
        assert called == [True]

    def test_a_signal_before_the_first_run(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()

    def test_replacing_a_handler(self, loop):
        called = []
        loop.add_signal_handler(signal.SIGUSR1, called.append, "first")
        loop.add_signal_handler(signal.SIGUSR1, lambda: (called.append("second"), loop.stop()))
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()
        assert called == ["second"]

    def test_several_signals(self, loop):
        called = []
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(number, called.append, number)
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP):
            signal.raise_signal(number)
        while len(called) < 4:
            turn(loop)
        assert sorted(called) == sorted([signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM])

    def test_every_one_of_a_row_of_signals_is_handled(self, loop):
        called = []
        loop.add_signal_handler(signal.SIGUSR1, called.append, 1)
        loop.add_signal_handler(signal.SIGUSR2, loop.stop)
        for _ in range(100):
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        loop.run_forever()
        assert len(called) == 100

    def test_interrupted_system_calls_are_restarted(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, int)
        reading, writing = os.pipe()

        def interrupt():
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGUSR1)
            os.write(writing, b"x")

        thread = threading.Thread(target=interrupt)
        thread.start()
        assert os.read(reading, 1) == b"x"
        thread.join()
        os.close(reading)
        os.close(writing)
        turn(loop)

    def test_removing_restores_the_default(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.add_signal_handler(signal.SIGINT, print)
        assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGINT)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_closing_removes_handlers(self, make_loop):
        loop = make_loop()
        loop.add_signal_handler(signal.SIGUSR1, print)
        loop.close()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

    def test_a_raising_handler_is_reported(self, loop, reports):
        loop.add_signal_handler(signal.SIGUSR1, lambda: 1 / 0)
        loop.add_signal_handler(signal.SIGUSR2, loop.stop)
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        loop.run_forever()
        (context,) = reports
        assert isinstance(context["exception"], ZeroDivisionError)
        assert context["message"].startswith("Exception in callback ")

    def test_handler_may_remove_itself(self, loop):
        called = []

        def handler():
            called.append(loop.remove_signal_handler(signal.SIGUSR1))
            loop.stop()

        loop.add_signal_handler(signal.SIGUSR1, handler)
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()
        assert called == [True]

    def test_only_in_the_main_thread(self, loop):
        errors = []

        def work():
            try:
                loop.add_signal_handler(signal.SIGUSR1, print)
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert errors == ["set_wakeup_fd only works in main thread of the main interpreter"]

    def test_context(self, loop):
        import contextvars

        variable = contextvars.ContextVar("variable", default="default")
        seen = []
        token = variable.set("when added")
        loop.add_signal_handler(signal.SIGUSR1, lambda: (seen.append(variable.get()), loop.stop()))
        variable.reset(token)
        signal.raise_signal(signal.SIGUSR1)
        loop.run_forever()
        assert seen == ["when added"]

    def test_two_loops_take_turns(self, make_loop):
        """The loop that added its handler last gets the signals."""
        one, two = make_loop(), make_loop()
        called = []
        one.add_signal_handler(signal.SIGUSR1, called.append, "one")
        one.remove_signal_handler(signal.SIGUSR1)
        two.add_signal_handler(signal.SIGUSR1, lambda: (called.append("two"), two.stop()))
        signal.raise_signal(signal.SIGUSR1)
        two.run_forever()
        assert called == ["two"]


class TestPythonHandlers:
    """Handlers set with signal.signal run while a loop waits, as they do everywhere else."""

    def test_runs_while_the_loop_is_parked(self, loop):
        called = []

        def handler(number, frame):
            called.append(number)
            loop.call_soon_threadsafe(loop.stop)

        signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        assert called == [signal.SIGUSR1]

    def test_what_it_raises_leaves_the_parked_loop(self, loop):
        class Leave(Exception):
            """Raised in the main thread, wherever that is."""

        def handler(number, frame):
            raise Leave

        signal.signal(signal.SIGUSR1, handler)
        parked = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        loop.call_soon(parked.start)
        with pytest.raises(Leave):
            loop.run_forever()
        parked.join()
        assert not loop.is_running()
        assert loop.run_until_complete(asyncio.sleep(0, "again")) == "again"

    def test_keyboard_interrupt_of_a_parked_loop(self, loop):
        parked = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        loop.call_soon(parked.start)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        parked.join()

    def test_a_busy_loop_is_interrupted_too(self, loop):
        def spin():
            loop.call_soon(spin)

        loop.call_soon(spin)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        timer.join()


class TestControlC:
    def test_run_cancels_main_and_raises_keyboard_interrupt(self, impl):
        seen = []

        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        with pytest.raises(KeyboardInterrupt):
            impl.run(main())
        assert seen == ["cancelled"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_twice_interrupts_at_once(self, impl):
        seen = []

        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                seen.append("cancelled")
                signal.raise_signal(signal.SIGINT)
            seen.append("not reached")

        with pytest.raises(KeyboardInterrupt):
            impl.run(main())
        assert seen == ["cancelled"]

    def test_exit_status(self, impl):
        program = """
            import os, signal
            async def main():
                os.kill(os.getpid(), signal.SIGINT)
                await aio.sleep(60)
            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.returncode == -signal.SIGINT
        assert finished.stderr.rstrip().endswith("KeyboardInterrupt")


class TestFork:
    """A child made by fork has no running loop, can run its own, and leaves its parent's alone."""

    def test_os_fork_in_a_running_loop(self, impl):
        program = """
            import os, sys, warnings

            async def work():
                await aio.sleep(0.001)
                return "worked"

            async def main():
                loop = aio.get_running_loop()
                reading, writing = os.pipe()
                pid = os.fork()
                if pid == 0:
                    try:
                        aio.get_running_loop()
                        os.write(writing, b"a loop is running in the child")
                    except RuntimeError as error:
                        os.write(writing, f"{error}; {aio.run(work())}".encode())
                    finally:
                        os._exit(0)
                os.close(writing)
                status = os.waitpid(pid, 0)[1]
                print(status, os.read(reading, 1000).decode())
                assert aio.get_running_loop() is loop
                print(await aio.to_thread(lambda: "thread"), await work())

            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "0 no running event loop; worked\nthread worked\n"

    def test_multiprocessing_in_a_running_loop(self, impl):
        program = """
            import multiprocessing

            async def work(number):
                await aio.sleep(0.001)
                return number * 2

            def child(number, connection):
                connection.send(aio.run(work(number)))

            async def main():
                context = multiprocessing.get_context("fork")
                for number in range(3):
                    ours, theirs = context.Pipe()
                    process = context.Process(target=child, args=(number, theirs))
                    process.start()
                    theirs.close()
                    loop = aio.get_running_loop()
                    future = loop.create_future()
                    loop.add_reader(ours, lambda: future.done() or future.set_result(ours.recv()))
                    print(await future, end=" ")
                    loop.remove_reader(ours)
                    process.join()
                    print(process.exitcode)

            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "0 0\n2 0\n4 0\n"

    def test_the_parent_keeps_its_sockets_and_signals(self, impl):
        program = """
            import os, signal, socket

            async def main():
                loop = aio.get_running_loop()
                one, two = socket.socketpair()
                one.setblocking(False)
                got, signalled = loop.create_future(), loop.create_future()
                loop.add_reader(one, lambda: got.done() or got.set_result(one.recv(10)))
                loop.add_signal_handler(signal.SIGUSR1, signalled.set_result, "signal")
                pid = os.fork()
                if pid == 0:
                    aio.run(aio.sleep(0.001))
                    os._exit(0)
                os.waitpid(pid, 0)
                two.send(b"data")
                os.kill(os.getpid(), signal.SIGUSR1)
                print(await got, await signalled)
                loop.remove_reader(one)

            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "b'data' signal\n"

    @pytest.mark.parametrize("tasks", ["none", "others"])
    def test_the_child_goes_on_with_its_copy_of_the_coroutine(self, impl, tasks):
        program = """
            import os, sys

            async def main(parent, tasks):
                loop = aio.get_running_loop()
                others = [loop.create_task(aio.sleep(0)) for _ in range(3 if tasks == "others" else 0)]
                await aio.sleep(0)
                pid = os.fork()
                if pid == 0:
                    return "child"
                parent.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                await aio.sleep(0)
                return "parent"

            parent = []
            result = aio.run(main(parent, sys.argv[1]))
            if result == "child":
                sys.stdout.write("child: " + repr(parent) + "\\n")
                sys.stdout.flush()
                os._exit(7)
            print(result, parent)
        """
        finished = impl.run_source(program, tasks, python_options=("-W", "ignore"))
        assert finished.stdout == "child: []\nparent [7]\n"
        if not impl.is_stock:  # which may report that its loop is not the running one
            assert finished.stderr == ""

    @pytest.mark.yibu_only  # stock shares one epoll object between the two, and the child takes entries away
    def test_a_child_may_close_the_loop_it_inherited(self, impl):
        program = """
            import os, socket
            loop = aio.new_event_loop()
            one, two = socket.socketpair()
            one.setblocking(False)
            got = loop.create_future()
            loop.add_reader(one, lambda: got.done() or got.set_result(one.recv(10)))
            loop.run_until_complete(aio.sleep(0))
            pid = os.fork()
            if pid == 0:
                loop.remove_reader(one)
                loop.close()
                os._exit(0)
            print(os.waitpid(pid, 0)[1])
            two.send(b"data")
            print(loop.run_until_complete(got))
            loop.remove_reader(one)
            print(loop.run_until_complete(loop.run_in_executor(None, int)))
            loop.close()
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "0\nb'data'\n0\n"

    def test_at_fork_hooks_are_not_run_for_subprocesses(self, impl):
        program = """
            import os, sys
            ran = []
            os.register_at_fork(before=lambda: ran.append(1), after_in_parent=lambda: ran.append(2))

            async def main():
                process = await aio.create_subprocess_exec(
                    sys.executable, "-c", "print('child')", stdout=aio.subprocess.PIPE
                )
                output, _ = await process.communicate()
                print(output.decode().strip(), process.returncode, ran)

            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "child 0 []\n"

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 makes another method the default")
    def test_process_pool_in_a_running_loop(self, impl):
        program = """
            import concurrent.futures, warnings
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, since 3.12

            async def main():
                loop = aio.get_running_loop()
                with concurrent.futures.ProcessPoolExecutor(2) as pool:
                    print(await aio.gather(*[loop.run_in_executor(pool, pow, 2, n) for n in range(5)]))

            aio.run(main())
        """
        finished = impl.run_source(program)
        assert finished.stderr == ""
        assert finished.stdout == "[1, 2, 4, 8, 16]\n"


class TestManyLoops:
    def test_loops_in_threads_each_with_its_own_sockets(self, make_loop):
        import socket

        loops, results = [make_loop() for _ in range(4)], {}

        def work(number):
            loop = loops[number]

            async def main():
                one, two = socket.socketpair()
                with one, two:
                    one.setblocking(False)
                    two.setblocking(False)
                    for step in range(50):
                        await loop.sock_sendall(one, f"{number}-{step}".encode())
                        assert await loop.sock_recv(two, 100) == f"{number}-{step}".encode()
                        await asyncio.sleep(0)
                return number

            results[number] = loop.run_until_complete(main())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {number: number for number in range(4)}

    def test_loops_talk_to_each_other(self, make_loop):
        """Each of two running loops schedules on the other from its own thread."""
        one, two = make_loop(), make_loop()
        rounds = 200
        log = []

        def hit(loop, other, left):
            log.append(left)
            if left:
                other.call_soon_threadsafe(hit, other, loop, left - 1)
            else:
                one.call_soon_threadsafe(one.stop)
                two.call_soon_threadsafe(two.stop)

        thread = threading.Thread(target=two.run_forever)
        thread.start()
        one.call_soon(hit, one, two, rounds)
        one.run_forever()
        thread.join()
        assert log == list(range(rounds, -1, -1))
