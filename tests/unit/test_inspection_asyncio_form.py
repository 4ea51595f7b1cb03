"""`python -m yibu ps --asyncio` and `pstree --asyncio`: the form of Python's own command."""

import pytest
from yibu.inspection import asyncio_form
from yibu.inspection.descriptions import Frame, LoopDescription, TaskDescription, TaskTree

pytestmark = pytest.mark.yibu_only


def tree(**waiters):
    """A tree of tasks, each with the names of those that wait for it."""
    ids = {name: number for number, name in enumerate(waiters, 1)}
    tasks = [
        TaskDescription(
            id=ids[name],
            name=name,
            state="waiting",
            age=None,
            waits_for="",
            kind="",
            awaited_by=tuple(ids[waiter] for waiter in names),
            stack=(Frame("outer", "file.py", 1), Frame("main.<locals>.inner", "file.py", 2)),
            loop=7,
            lost=False,
        )
        for name, names in waiters.items()
    ]
    loop = LoopDescription(7, "yibu.EventLoop", 1, "MainThread", 4711, len(tasks))
    return TaskTree(tuple(tasks), (loop,), (), 4711)


def test_a_table_has_a_line_for_each_waiter():
    lines = asyncio_form.table(tree(ann=[], bob=[], shared=["ann", "bob"])).splitlines()
    assert lines[0].split() == [
        *("tid", "task", "id", "task", "name", "coroutine", "stack"),
        *("awaiter", "chain", "awaiter", "name", "awaiter", "id"),
    ]
    assert lines[1] == "-" * 180
    assert [line.split() for line in lines[2:]] == [
        ["4711", "0x1", "ann", "inner", "->", "outer", "0x0"],
        ["4711", "0x2", "bob", "inner", "->", "outer", "0x0"],
        ["4711", "0x3", "shared", "inner", "->", "outer", "inner", "->", "outer", "ann", "0x1"],
        ["4711", "0x3", "shared", "inner", "->", "outer", "inner", "->", "outer", "bob", "0x2"],
    ]


def test_a_task_is_below_each_that_waits_for_it():
    assert asyncio_form.tree_text(tree(main=[], ann=["main"], bob=["main"], shared=["ann", "bob"])) == (
        """\
└── (T) main
    └──  outer file.py:1
        └──  inner file.py:2
            ├── (T) ann
            │   └──  outer file.py:1
            │       └──  inner file.py:2
            │           └── (T) shared
            │               └──  outer file.py:1
            │                   └──  inner file.py:2
            └── (T) bob
                └──  outer file.py:1
                    └──  inner file.py:2
                        └── (T) shared
                            └──  outer file.py:1
                                └──  inner file.py:2"""
    )


def test_a_circle_is_shown_once():
    lines = asyncio_form.tree_text(tree(ann=["bob"], bob=["ann"])).splitlines()
    assert [line.strip(" ─└") for line in lines if "(T)" in line] == ["(T) ann", "(T) bob", "(T) ann"]


def test_what_would_double_at_each_task_ends(monkeypatch):
    """A tower of tasks, each of which two wait for, has more paths than anybody can print."""
    monkeypatch.setattr(asyncio_form, "_LONGEST", 1000)
    waiters = {"root": []}
    above = ["root"]
    for floor in range(40):
        names = [f"left{floor}", f"right{floor}"]
        waiters |= dict.fromkeys(names, above)
        above = names
    assert len(asyncio_form.tree_text(tree(**waiters)).splitlines()) < 2000
