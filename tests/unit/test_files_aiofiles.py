"""`yibu.files` beside aiofiles: the same names and the same behaviour. Skipped without aiofiles."""

import asyncio
import inspect
import os
import sys

import pytest
import yibu.files
import yibu.files.os
import yibu.files.tempfile
import yibu.files.threadpool


@pytest.fixture
def aiofiles():
    """The library."""
    module = pytest.importorskip("aiofiles")
    pytest.importorskip("aiofiles.os")
    return module


@pytest.fixture(params=["aiofiles", "yibu.files"])
def library(request):
    """Both, one after the other."""
    if request.param == "aiofiles":
        pytest.importorskip("aiofiles.os")
    return sys.modules[request.param]


@pytest.mark.parametrize("name", ["", ".os", ".ospath", ".tempfile", ".threadpool"])
def test_every_public_name_is_there(aiofiles, name):
    theirs, ours = sys.modules["aiofiles" + name], sys.modules["yibu.files" + name]
    public = getattr(theirs, "__all__", None) or [each for each in vars(theirs) if each[0] != "_"]
    assert set(public) <= set(dir(ours))


def test_classes_have_the_same_methods(aiofiles):
    import yibu.files.binary
    import yibu.files.text
    from aiofiles.tempfile import temptypes
    from aiofiles.threadpool import binary, text

    pairs = [(binary, yibu.files.binary), (text, yibu.files.text), (temptypes, yibu.files.tempfile)]
    for theirs, ours in pairs:
        for name, cls in vars(theirs).items():
            if not inspect.isclass(cls) or cls.__module__ != theirs.__name__:
                continue
            counterpart = getattr(ours, name)
            for method in dir(cls):
                if method.startswith("_"):
                    continue
                expected, actual = getattr(cls, method), getattr(counterpart, method)
                assert isinstance(actual, property) == isinstance(expected, property), (name, method)
                assert inspect.iscoroutinefunction(actual) == inspect.iscoroutinefunction(expected), (
                    name,
                    method,
                )


@pytest.mark.parametrize("name", ["open", "os", "tempfile"])
def test_functions_take_the_same_arguments(aiofiles, name):
    theirs, ours = getattr(aiofiles, name), getattr(yibu.files, name)
    names = [name] if callable(theirs) else theirs.__all__
    for each in names:
        expected = theirs if callable(theirs) else getattr(theirs, each)
        actual = ours if callable(ours) else getattr(ours, each)
        if each in ("path", "wrap"):
            continue
        assert list(inspect.signature(actual).parameters) == list(inspect.signature(expected).parameters)


class TestProgram:
    """Programs of aiofiles' users, on both libraries."""

    def test_a_copy(self, impl, library, tmp_path):
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(os.urandom(200_000))

        async def main():
            async with library.open(source, "rb") as reader, library.open(target, mode="wb") as writer:
                while chunk := await reader.read(7000):
                    await writer.write(chunk)

        impl.run(main())
        assert target.read_bytes() == source.read_bytes()

    def test_lines(self, impl, library, tmp_path):
        path = tmp_path / "lines"

        async def main():
            async with library.open(path, "w", encoding="utf-8") as file:
                await file.writelines(f"{number}\n" for number in range(500))
            async with library.open(path) as file:
                return [int(line) async for line in file]

        assert impl.run(main()) == list(range(500))

    def test_folders(self, impl, library, tmp_path):
        async def main():
            functions = library.os
            await functions.makedirs(tmp_path / "a" / "b", exist_ok=True)
            assert await functions.path.isdir(tmp_path / "a")
            assert await functions.listdir(tmp_path) == ["a"]
            await functions.rename(tmp_path / "a", tmp_path / "c")
            assert not await functions.path.exists(tmp_path / "a")
            assert (await functions.stat(str(tmp_path))).st_mode == tmp_path.stat().st_mode
            assert [entry.name for entry in await functions.scandir(tmp_path)] == ["c"]
            assert await functions.getcwd() == os.getcwd()
            with pytest.raises(FileNotFoundError) as raised:
                await functions.remove(tmp_path / "none", loop=asyncio.get_running_loop(), executor=None)
            assert raised.value.filename == str(tmp_path / "none")
            await functions.rmdir(tmp_path / "c" / "b")

        impl.run(main())

    @pytest.mark.parametrize("mode", ["w+", "w+b"])
    def test_temporary_files(self, impl, library, mode):
        data = "text\n" if mode == "w+" else b"bytes\n"

        async def main():
            async with library.tempfile.TemporaryFile(mode) as file:
                await file.write(data)
                await file.seek(0)
                assert await file.read() == data
            async with library.tempfile.NamedTemporaryFile(mode, suffix=".x") as file:
                assert str(file.name).endswith(".x")
                await file.write(data)
                await file.flush()
                assert os.path.getsize(file.name) == len(data)
            assert not os.path.exists(file.name)
            async with library.tempfile.NamedTemporaryFile(mode, delete=False) as file:
                pass
            os.unlink(file.name)
            if sys.version_info >= (3, 12):
                async with library.tempfile.NamedTemporaryFile(mode, delete_on_close=False) as file:
                    await file.close()
                    assert os.path.exists(file.name)
                assert not os.path.exists(file.name)

        impl.run(main())

    def test_a_spooled_file(self, impl, library):
        async def main():
            async with library.tempfile.SpooledTemporaryFile(max_size=10) as file:
                assert await file.write(b"12345") == 5
                assert not file._file._rolled
                await file.seek(0)
                assert await file.readline() == b"12345"
                await file.write(b"6789012")
                assert file._file._rolled
                await file.seek(0)
                assert await file.read() == b"123456789012"
                assert await file.fileno() > 0
            assert file.closed

        impl.run(main())

    def test_a_temporary_folder(self, impl, library):
        async def main():
            async with library.tempfile.TemporaryDirectory(prefix="x") as path:
                async with library.open(os.path.join(path, "file"), "w") as file:
                    await file.write("text")
                assert os.listdir(path) == ["file"]
            assert not os.path.exists(path)
            folder = await library.tempfile.TemporaryDirectory()
            assert os.path.isdir(folder.name)
            await folder.cleanup()
            assert not os.path.exists(folder.name)

        impl.run(main())
