"""Children with ordinary arguments: the `Popen` object, its errors and what a program may replace of it."""

import asyncio
import errno
import os
import subprocess
import sys

import pytest

from tests.unit.test_subprocess import descriptors, zombies

PIPE = subprocess.PIPE


@pytest.fixture
def each(on):
    """Run a coroutine on the implementation's loop, and on the standard library's."""
    return on.run_until_complete


async def started(impl, *args, **keywords):
    """The Popen object of a child that has ended."""
    process = await impl.create_subprocess_exec(*args, **keywords)
    await process.communicate()
    return process._transport.get_extra_info("subprocess")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder of programs that is the whole search path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def make_program(folder, name, text="exit 0"):
    """A script in a folder."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("pipes", [(None, None, None), (PIPE, None, PIPE), (PIPE, PIPE, PIPE)])
def test_attributes_are_those_of_popen(impl, each, pipes):
    files = dict(zip(("stdin", "stdout", "stderr"), pipes, strict=True))
    with subprocess.Popen(["true"], bufsize=0, universal_newlines=False, **files) as expected:
        expected.wait()
    popen = each(started(impl, "true", **files))
    assert type(popen) is subprocess.Popen
    assert list(vars(popen)) == list(vars(expected))

    def shown(process):
        other = {"_waitpid_lock", "pid", "args", "stdin", "stdout", "stderr"}
        values = {name: value for name, value in vars(process).items() if name not in other}
        streams = [type(getattr(process, name)) for name in files]
        return values, streams, [getattr(getattr(process, name), "mode", None) for name in files]

    assert shown(popen) == shown(expected)
    assert popen.args == ("true",)
    assert popen._waitpid_lock.acquire(blocking=False)


def test_a_program_that_is_not_there(impl, each, programs):
    each(asyncio.sleep(0))  # a loop has its descriptors from its first run on
    before = descriptors()
    for pipes in ({}, {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}):
        with pytest.raises(FileNotFoundError) as caught:
            each(impl.create_subprocess_exec("not-there", **pipes))
        assert caught.value.args == (errno.ENOENT, os.strerror(errno.ENOENT))
        assert caught.value.filename == "not-there"
    assert descriptors() == before
    assert not zombies()


def test_a_program_that_cannot_run(impl, each, programs):
    (programs / "text").write_text("no program")
    with pytest.raises(PermissionError) as caught:
        each(impl.create_subprocess_exec("text", stdout=PIPE))
    assert caught.value.filename == "text"


def test_arguments_that_cannot_be_passed(impl, each):
    each(asyncio.sleep(0))  # a loop has its descriptors from its first run on
    before = descriptors()
    with pytest.raises(ValueError, match="embedded null byte"):
        each(impl.create_subprocess_exec("true", "a\0b", stdout=PIPE))
    with pytest.raises(TypeError):
        each(impl.create_subprocess_exec("true", 1, stdin=PIPE))
    assert descriptors() == before


def test_the_search_path_of_now(impl, each, tmp_path, monkeypatch):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        make_program(folder, "same", f"exit {number}")
        # An empty entry is the current folder.
        monkeypatch.setenv("PATH", f"/not-there::{folder}/")
        assert each(return_code(impl, "same")) == number
    monkeypatch.chdir(tmp_path / "1")
    assert each(return_code(impl, "same")) == 1
    monkeypatch.delenv("PATH")
    assert each(return_code(impl, "true")) == 0


async def return_code(impl, *args):
    """What a child returns."""
    process = await impl.create_subprocess_exec(*args)
    return await process.wait()


def test_standard_streams(impl, each):
    async def through_cat():
        process = await impl.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        return await process.communicate(b"text")

    assert each(through_cat()) == (b"text", None)


def test_replaced_parts(impl, each, monkeypatch):
    called = []

    def noting(place, name):
        original = getattr(place, name)

        def replacement(*args, **keywords):
            called.append(name)
            return original(*args, **keywords)

        return replacement

    for place, name in [
        (subprocess, "Popen"),
        (subprocess.Popen, "__init__"),
        (subprocess.Popen, "_execute_child"),
        (subprocess.Popen, "_get_handles"),
        (subprocess, "_fork_exec"),
        (os, "get_exec_path"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, noting(place, name))
            each(started(impl, "true"))
        assert called == [name]
        called.clear()


def test_a_subclass_in_the_place_of_popen(impl, each, monkeypatch):
    class Popen(subprocess.Popen):
        pass

    monkeypatch.setattr(subprocess, "Popen", Popen)
    assert type(each(started(impl, "true"))) is Popen


AUDITED = """
import asyncio, sys
import {module}
import {module} as impl

events = []
sys.addaudithook(lambda name, args: name == "subprocess.Popen" and events.append(args))

async def main():
    await (await impl.create_subprocess_exec("true", "1")).wait()

with impl.Runner(loop_factory={module}.new_event_loop) as runner:
    runner.run(main())
print(events)
"""


def test_audit_event(impl):
    ran = subprocess.run(
        [sys.executable, "-c", AUDITED.format(module=impl.__name__)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[('true', ['true', '1'], None, None)]\n"


@pytest.mark.parametrize(
    "keywords", [{"env": {"PATH": os.defpath}}, {"cwd": "/"}, {"start_new_session": True}]
)
def test_other_arguments_are_given_to_popen(impl, each, monkeypatch, keywords):
    given = []

    class Popen(subprocess.Popen):
        def __init__(self, *args, **keywords):
            given.append(keywords)
            super().__init__(*args, **keywords)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    each(started(impl, "true", **keywords))
    assert given[0].items() >= keywords.items()


def test_on_a_stock_loop(impl):
    async def main():
        assert await return_code(impl, "true") == 0

    asyncio.run(main())
