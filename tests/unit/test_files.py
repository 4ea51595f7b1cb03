"""`yibu.files`: opening, reading, writing, positions and errors, on loops of yibu and of asyncio."""

import asyncio
import errno
import gc
import io
import os
import pathlib
import warnings

import pytest
from yibu import files

from tests.unit.outcomes import awaited, outcome

TEXT = "".join(f"line {number} äöü €\n" for number in range(3000))


@pytest.fixture
def run(run_with_workers):
    return run_with_workers


@pytest.fixture
def path(tmp_path):
    """A text file."""
    path = tmp_path / "text"
    path.write_text(TEXT)
    return path


@pytest.fixture
def disk_path():
    """A text file in a folder that is not in memory, where the kernel tells what it has cached."""
    path = pathlib.Path(__file__).with_name(f".files-{os.getpid()}")
    path.write_text(TEXT)
    yield path
    path.unlink()


class TestOpen:
    def test_as_a_context_manager_and_awaited(self, run, path):
        async def main():
            async with files.open(path) as file:
                assert await file.read() == TEXT
                assert not file.closed
            assert file.closed
            file = await files.open(path, "rb")
            assert await file.read(5) == b"line "
            await file.close()
            await file.close()
            assert file.closed

        run(main)

    @pytest.mark.parametrize(
        ("mode", "buffering", "name"),
        [
            ("r", -1, "AsyncTextIOWrapper"),
            ("a+", -1, "AsyncTextIOWrapper"),
            ("rb", -1, "AsyncBufferedReader"),
            ("r+b", -1, "AsyncBufferedReader"),
            ("ab", -1, "AsyncBufferedIOBase"),
            ("rb", 0, "AsyncFileIO"),
        ],
    )
    def test_classes_are_those_of_aiofiles(self, run, path, mode, buffering, name):
        async def main():
            async with files.open(path, mode, buffering=buffering) as file:
                assert type(file).__name__ == name
                assert file.mode == open(path, mode, buffering=buffering).mode  # noqa: SIM115
                assert file.name == open(path, mode, buffering=buffering).name  # noqa: SIM115
                assert file.fileno() > 0
                assert repr(file).endswith(f"wrapping {file._file!r}")
            gc.collect()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            run(main)

    def test_errors_are_those_of_open(self, run, tmp_path):
        cases = [
            (tmp_path / "none", "r", {}),
            (tmp_path, "r", {}),
            (tmp_path / "x", "rz", {}),
            (tmp_path / "x", "rb", {"encoding": "utf-8"}),
            (tmp_path / "x", "r", {"buffering": 0}),
            (tmp_path / "x", "w", {"encoding": "no such"}),
            ("a\0b", "r", {}),
            (-5, "r", {}),
            (object(), "r", {}),
        ]

        async def main():
            for file, mode, keywords in cases:
                with pytest.raises(Exception) as expected:
                    open(file, mode, **keywords)  # noqa: SIM115
                with pytest.raises(type(expected.value)) as raised:
                    await files.open(file, mode, **keywords)
                assert str(raised.value) == str(expected.value)
                assert raised.value.args == expected.value.args
                if isinstance(expected.value, OSError):
                    assert raised.value.filename == expected.value.filename

        run(main)

    def test_an_audit_hook_sees_what_open_shows(self, impl, path):
        program = """
        import sys
        from yibu import files

        async def main(path):
            for mode in ("r", "rb", "a"):
                async with files.open(path, mode):
                    pass

        seen = []
        path = sys.argv[1]
        sys.addaudithook(lambda name, args: seen.append(args[:2]) if name == "open" else None)
        aio.run(main(path))
        print(sorted({mode for name, mode in seen if name == path}))
        """
        done = impl.run_source(program, str(path))
        assert (done.stdout, done.stderr) == ("['a', 'r']\n", "")

    def test_a_pipe_is_not_opened_by_the_loops_thread(self, run, tmp_path):
        """Opening waits for the other end; the loop goes on."""

        async def main():
            path = tmp_path / f"fifo-{id(asyncio.get_running_loop())}"
            os.mkfifo(path)

            async def read():
                async with files.open(path, "rb") as file:
                    return await file.read()

            reading = asyncio.ensure_future(read())
            await asyncio.sleep(0.01)
            assert not reading.done()
            async with files.open(path, "wb") as writer:
                await writer.write(b"text")
            assert await reading == b"text"

        run(main)

    def test_a_file_that_was_opened_has_no_flags_of_its_own(self, run, disk_path):
        import fcntl

        async def main():
            with open(disk_path) as ordinary:
                async with files.open(disk_path) as file:
                    for command in (fcntl.F_GETFL, fcntl.F_GETFD):
                        expected = fcntl.fcntl(ordinary.fileno(), command)
                        assert fcntl.fcntl(file.fileno(), command) == expected

        run(main)

    def test_a_descriptor_and_an_opener(self, run, path):
        async def main():
            descriptor = os.open(path, os.O_RDONLY)
            async with files.open(descriptor, "rb", closefd=False) as file:
                assert await file.read(4) == b"line"
            os.close(descriptor)
            seen = []

            def opener(name, flags):
                seen.append(name)
                return os.open(name, flags)

            async with files.open(path, opener=opener) as file:
                assert await file.readline() == "line 0 äöü €\n"
            assert seen == [str(path)] or seen == [path]

        run(main)

    def test_without_a_loop(self, path):
        with pytest.raises(RuntimeError, match="no running event loop"):
            files.open(path).__await__().send(None)

    def test_an_executor_of_the_programs_own(self, run, path):
        from concurrent.futures import ThreadPoolExecutor

        async def main():
            with ThreadPoolExecutor(1) as executor:
                async with files.open(path, "r+", executor=executor) as file:
                    assert len(await file.readlines()) == 3000
                    assert len(executor._threads) == 1

        run(main)

    def test_an_unclosed_file_warns_as_a_python_file_does(self, run, path):
        async def main():
            file = await files.open(path)
            expected = f"unclosed file {file._file!r}"
            await asyncio.sleep(0.01)  # the future that had the file is gone, and the worker idle
            with pytest.warns(ResourceWarning) as caught:
                del file
                gc.collect()
            assert str(caught[0].message) == expected

        run(main)


class TestReading:
    @pytest.mark.parametrize("where", ["path", "disk_path"])
    @pytest.mark.parametrize("mode", ["r", "rb", "r+", "r+b"])
    def test_all_ways_give_what_python_gives(self, run, request, where, mode):
        path = request.getfixturevalue(where)

        async def main():
            for name, arguments in [
                ("read", ()),
                ("read", (-1,)),
                ("read", (None,)),
                ("read", (0,)),
                ("read", (7,)),
                ("read", (10_000,)),
                ("read", (1 << 20,)),
                ("readline", ()),
                ("readline", (3,)),
                ("readline", (None,)),
                ("readlines", ()),
                ("readlines", (50,)),
                ("tell", ()),
                ("seek", (0, 2)),
                ("seek", (17,)),
                ("isatty", ()),
                ("seekable", ()),
                ("writable", ()),
            ]:
                with open(path, mode) as ordinary:
                    async with files.open(path, mode) as file:
                        for _ in range(3):
                            expected = outcome(getattr(ordinary, name), *arguments)
                            assert await awaited(getattr(file, name), *arguments) == expected
                        assert await awaited(file.tell) == outcome(ordinary.tell)

        run(main)

    @pytest.mark.parametrize("where", ["path", "disk_path"])
    @pytest.mark.parametrize("mode", ["r", "rb"])
    def test_lines(self, run, request, where, mode):
        path = request.getfixturevalue(where)

        async def main():
            with open(path, mode) as ordinary:
                expected = list(ordinary)
            async with files.open(path, mode) as file:
                assert [line async for line in file] == expected
                assert await file.readline() == expected[0][:0]
                await file.seek(0)
                assert [await file.readline() for _ in range(3000)] == expected
                assert [line async for line in file] == []

        run(main)

    @pytest.mark.parametrize("where", ["path", "disk_path"])
    @pytest.mark.parametrize("mode", ["r", "rb"])
    def test_the_position_is_behind_the_line_that_was_given(self, run, request, where, mode):
        """Lines are read ahead, which no other method shows."""
        path = request.getfixturevalue(where)

        async def main():
            with open(path, mode) as ordinary:
                async with files.open(path, mode) as file:
                    for name, arguments in [
                        ("tell", ()),
                        ("read", (9,)),
                        ("readline", (4,)),
                        ("readlines", (30,)),
                        ("tell", ()),
                        ("read", (20_000,)),
                        ("read", ()),
                    ]:
                        for _ in range(5):
                            assert await anext(file) == ordinary.readline()
                        expected = outcome(getattr(ordinary, name), *arguments)
                        assert await awaited(getattr(file, name), *arguments) == expected, name
                        assert await awaited(file.tell) == outcome(ordinary.tell), name

        run(main)

    def test_a_last_line_without_end_grows(self, run, disk_path):
        disk_path.write_text("one\ntwo\nthr")

        async def main():
            async with files.open(disk_path) as file:
                assert await anext(file) == "one\n"
                assert await anext(file) == "two\n"
                with open(disk_path, "a") as writer:
                    writer.write("ee\nfour")
                assert await anext(file) == "three\n"
                assert await file.readline() == "four"
                assert await file.readline() == ""
                with open(disk_path, "a") as writer:
                    writer.write("\n")
                assert await file.readline() == "\n"

        run(main)

    def test_a_line_longer_than_what_is_read_at_once(self, run, disk_path):
        lines = ["a" * 50_000 + "\n", "b\n", "c" * 300_000 + "\n", "d" * 100_000]
        disk_path.write_text("".join(lines))

        async def main():
            for mode in ("r", "rb"):
                expected = lines if mode == "r" else [line.encode() for line in lines]
                async with files.open(disk_path, mode) as file:
                    assert [line async for line in file] == expected

        run(main)

    @pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
    def test_ends_of_lines(self, run, disk_path, newline):
        disk_path.write_bytes(b"one\r\ntwo\rthree\nfour\r\r\n" * 50)

        async def main():
            with open(disk_path, newline=newline) as ordinary:
                async with files.open(disk_path, newline=newline) as file:
                    assert [line async for line in file] == list(ordinary)
                    assert file.newlines == ordinary.newlines

        run(main)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32", "utf-7", "shift_jis"])
    def test_encodings(self, run, disk_path, encoding):
        text = "日本語 text\nline\n" * 2000
        disk_path.write_text(text, encoding=encoding)

        async def main():
            async with files.open(disk_path, encoding=encoding) as file:
                assert file.encoding == encoding
                assert await file.read(1) == "日"
                assert await anext(file) == "本語 text\n"
                assert await anext(file) == "line\n"
                assert await file.read() == text[len("日本語 text\nline\n") :]

        run(main)

    def test_what_cannot_be_decoded(self, run, disk_path):
        disk_path.write_bytes(b"good\n" * 5000 + b"\xff\n" + b"after\n" * 10)

        async def outcomes(readline):
            seen = []
            for _ in range(5100):
                try:
                    seen.append(await readline())
                except UnicodeDecodeError as error:
                    seen.append(str(error))
            return seen

        async def main():
            with open(disk_path, encoding="utf-8") as ordinary:
                expected = await outcomes(lambda: asyncio.to_thread(ordinary.readline))
            async with files.open(disk_path, encoding="utf-8") as file:
                assert await outcomes(file.readline) == expected

        run(main)

    def test_binary_methods(self, run, disk_path):
        content = disk_path.read_bytes()

        async def main():
            async with files.open(disk_path, "rb") as file:
                assert (await file.peek(1))[:4] == b"line"
                assert await file.read1(4) == b"line"
                room = bytearray(10_000)
                assert await file.readinto(room) == 10_000
                assert room == content[4:10_004]
                assert file.readable() is True
                assert isinstance(file.raw, io.FileIO)
                rest = await file.read1()
                assert rest and content[10_004:].startswith(rest)
            async with files.open(disk_path, "rb", buffering=0) as file:
                assert await file.read(3) == content[:3]
                assert await file.readinto(room) == 10_000
                assert await file.readall() == content[10_003:]

        run(main)

    def test_text_methods(self, run, disk_path):
        async def main():
            async with files.open(disk_path, errors="replace") as file:
                assert await file.readable() is True
                assert (file.encoding, file.errors) == (file._file.encoding, "replace")
                assert file.line_buffering is False
                await anext(file)
                await anext(file)
                assert file.buffer is file._file.buffer
                position = await file.tell()
                buffer = file.detach()
                buffer.seek(position)
                assert buffer.readline().startswith(b"line 2 ")
                buffer.close()
                with pytest.raises(ValueError, match="detached"):
                    await file.read()
                file._file = io.StringIO()

        run(main)

    def test_a_closed_file(self, run, disk_path):
        async def main():
            for mode in ("r", "rb", "w", "wb"):
                file = await files.open(disk_path, mode)
                if mode.startswith("r"):
                    await anext(file, None)
                await file.close()
                for name in ("read", "readline", "tell", "readlines", "flush", "isatty"):
                    expected = outcome(getattr(file._file, name))
                    assert await awaited(getattr(file, name)) == expected
                with pytest.raises(ValueError):  # also io.UnsupportedOperation
                    await anext(file)
                data = "" if "b" not in mode else b""
                assert await awaited(file.write, data) == outcome(file._file.write, data)

        run(main)

    def test_special_files(self, run):
        async def main():
            async with files.open("/proc/self/status") as file:
                assert (await file.readline()).startswith("Name:")
                assert [line async for line in file]
            async with files.open("/dev/null", "rb") as file:
                assert await file.read() == b""
            async with files.open("/dev/zero", "rb") as file:
                assert await file.read(5) == bytes(5)
            reader, writer = os.pipe()
            async with files.open(reader, "rb") as file:
                reading = asyncio.ensure_future(file.readline())
                await asyncio.sleep(0.01)
                assert not reading.done()
                os.write(writer, b"line\n")
                assert await reading == b"line\n"
                os.close(writer)
                assert await file.read() == b""

        run(main)

    def test_a_sparse_file(self, run, disk_path):
        os.truncate(disk_path, 0)
        os.truncate(disk_path, 1 << 20)

        async def main():
            async with files.open(disk_path, "rb") as file:
                assert await file.read() == bytes(1 << 20)
                await file.seek(1 << 19)
                assert await file.read(3) == bytes(3)

        run(main)


class TestWriting:
    @pytest.mark.parametrize("mode", ["w", "wb", "a", "ab", "x", "w+", "w+b", "r+"])
    @pytest.mark.parametrize("buffering", [-1, 1, 16, 100_000])
    def test_what_is_written_is_what_python_writes(self, run, tmp_path, mode, buffering):
        if "b" in mode and buffering == 1:
            pytest.skip("not for binary files")
        pieces = ["a", "bb\n", "€" * 5000, "", "c" * 9000, "d\n" * 70_000, "e"]
        if "b" in mode:
            pieces = [piece.encode() for piece in pieces]

        async def main():
            path = tmp_path / f"written-{id(asyncio.get_running_loop())}"
            if mode != "x":
                path.write_text("before")
            async with files.open(path, mode, buffering=buffering) as file:
                for piece in pieces:
                    assert await file.write(piece) == len(piece)
                await file.writelines(pieces)
                assert await file.write(pieces[0]) == 1
                await file.flush()
                assert await file.write(pieces[1]) == 3
            expected = b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces) * 2 + b"abb\n"
            assert path.read_bytes() == (b"before" if mode[0] == "a" else b"") + expected

        run(main)

    def test_a_small_write_is_in_the_buffer_until_flushed(self, run, tmp_path):
        async def main():
            path = tmp_path / "buffered"
            async with files.open(path, "wb") as file:
                await file.write(b"x")
                assert path.stat().st_size == 0
                assert await file.tell() == 1
                await file.flush()
                assert path.stat().st_size == 1
                assert await file.truncate(10) == 10
                assert await file.seek(0, 2) == 10

        run(main)

    def test_wrong_types(self, run, tmp_path):
        async def main():
            async with files.open(tmp_path / "w", "w") as file, files.open(tmp_path / "b", "wb") as binary:
                with pytest.raises(TypeError, match="must be str, not bytes"):
                    await file.write(b"x")
                with pytest.raises(TypeError, match="a bytes-like object is required"):
                    await binary.write("x")
                assert await binary.write(memoryview(b"abc")) == 3
                assert await binary.write(bytearray(b"abc")) == 3
                with pytest.raises(io.UnsupportedOperation, match="not readable"):
                    await file.read()

        run(main)

    def test_a_full_disk(self, run):
        async def main():
            file = await files.open("/dev/full", "wb")
            assert await file.write(b"x" * 10) == 10
            for operation in (file.flush, lambda: file.write(b"y" * 100_000), file.close):
                with pytest.raises(OSError) as raised:
                    await operation()
                assert raised.value.errno == errno.ENOSPC
            assert file.closed

        run(main)

    def test_appending_goes_behind_what_others_wrote(self, run, tmp_path):
        async def main():
            path = tmp_path / "log"
            async with files.open(path, "a") as one, files.open(path, "a") as two:
                for file in (one, two, one):
                    await file.write("entry\n")
                    await file.flush()
            assert path.read_text() == "entry\n" * 3

        run(main)


class TestWrap:
    def test_ordinary_files(self, run, path):
        async def main():
            with open(path) as ordinary:
                file = files.wrap(ordinary)
                assert await file.readline() == "line 0 äöü €\n"
                assert [line async for line in file] == TEXT.splitlines(keepends=True)[1:]
            assert await files.wrap(io.BytesIO(b"abc")).read() == b"abc"
            assert await files.wrap(io.StringIO("abc")).read() == "abc"
            with pytest.raises(TypeError, match="Unsupported io type: 5"):
                files.wrap(5)

        run(main)

    def test_standard_streams(self, run, capsys):
        async def main():
            await files.stdout.write("text\n")
            await files.stdout.flush()
            await files.stderr.write("error\n")
            await files.stderr.flush()

        run(main)
        assert capsys.readouterr() == ("text\n", "error\n")


def test_on_uvloop(path):
    """A loop that knows nothing of yibu."""
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with files.open(path) as file:
            assert "".join([line async for line in file]) == TEXT
        async with files.open(path, "a+") as file:
            await file.write("more")
            await file.seek(0)
            assert await file.read() == TEXT + "more"

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
