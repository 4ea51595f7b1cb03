"""Whole programs, each run on stock asyncio and on yibu: output, exit code and errors must be equal.

Only what cannot be equal is made so: addresses, times, descriptors, names of loop and transport classes, the
frames of an implementation within tracebacks, and the places within it where futures and tasks are made.
"""

import pathlib
import re
import subprocess
import sys

import pytest

PROGRAMS = sorted((pathlib.Path(__file__).parent / "programs").glob("*.py"))
LIMIT = 25
"""Seconds that one program may take."""

SUBSTITUTIONS = [
    (r"0x[0-9a-f]+", "ADDRESS"),
    (r"took \d+\.\d+ seconds", "took TIME seconds"),
    (r"when=\d+\.\d+", "when=TIME"),
    (r"\bfd=\d+", "fd=NUMBER"),
    (r" created at \S+:\d+", " created at PLACE"),
    (r"\b_UnixSelectorEventLoop\b|\bEventLoop\b", "LOOP"),
    (r"\b(_Selector|)SocketTransport\b|\b(_SelectorDatagram|DatagramSocket)Transport\b", "TRANSPORT"),
    (r"<(_SelectorSoc|SocketTransp)\.\.\.", "<TRANSPORT..."),
    (r"\b_ThreadSafeHandle\b", "Handle"),
    (r"\b(_asyncio|yibu(\.[a-z_]+)?|asyncio\.[a-z_]+)\.(?=[A-Z_])", ""),
]

INTERNAL = re.compile(
    r'^ *(\| +)*File ".*/(asyncio|yibu|runpy\.py|<frozen runpy>)[^"]*"|^ *(\| +)*File "<frozen runpy>"'
)
FRAME = re.compile(r'^( *(\| +)*)File "')


def without_internal_frames(text):
    """Drop the frames of asyncio, yibu and runpy from tracebacks, with the source lines below them."""
    kept, indent = [], None
    for line in text.splitlines():
        frame = FRAME.match(line)
        if frame:
            indent = len(frame.group(1)) if INTERNAL.match(line) else None
        elif indent is not None and len(line) - len(line.lstrip(" |")) <= indent:
            indent = None
        if indent is None:
            kept.append(line)
    return "\n".join(kept)


def normalised(text):
    text = without_internal_frames(text)
    for pattern, replacement in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text)
    return text


def run(impl, program, *options):
    finished = subprocess.run(
        [sys.executable, *options, str(program)],
        check=False,
        env=impl.environment(PYTHONHASHSEED="0"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=program.parent,
    )
    return {
        "exit code": finished.returncode,
        "output": normalised(finished.stdout),
        "errors": normalised(finished.stderr),
    }


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_equal(impl, program):
    expected = run(impl, program)
    got = run(impl, program, *([] if impl.is_stock else ["-m", "yibu"]))
    assert expected["output"] or expected["errors"]
    assert got == expected


def test_frames_of_an_implementation_are_dropped():
    traceback = """\
Traceback (most recent call last):
  File "/here/program.py", line 3, in <module>
    asyncio.run(main())
    ~~~~~~~~~~~^^^^^^^^
  File "/lib/python3/asyncio/runners.py", line 100, in run
    return runner.run(main)
           ^^^^^^^^^^^^^^^^
  File "/here/program.py", line 9, in main
    raise ValueError
ValueError
"""
    assert "runners" not in without_internal_frames(traceback)
    assert "return runner" not in without_internal_frames(traceback)
    assert without_internal_frames(traceback).splitlines()[-3:] == [
        '  File "/here/program.py", line 9, in main',
        "    raise ValueError",
        "ValueError",
    ]
