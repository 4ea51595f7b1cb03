"""What random programs are made of, and how one is drawn from a seed.

A program is some coroutine functions, `s0`, `s1`, ..., as Python source.  It is drawn from the templates
below, in which a name in braces stands for a choice of its own, and kept as a tree of statements, so that it
can be shrunk.  The names that the source uses (`w`, `say`, `locks`, ...) are those of `world.py`.

Nothing in a program may depend on what asyncio leaves open: the order of equal deadlines, and that of a set.
"""

import random
import re
import sys
from dataclasses import dataclass, field

SCRIPTS = 10
DEEPEST = 2
"""How deep blocks, and expressions within expressions, may be nested."""

SINCE_3_12 = sys.version_info >= (3, 12)
SINCE_3_13 = sys.version_info >= (3, 13)
SINCE_3_15 = sys.version_info >= (3, 15)

MODES = {
    "plain": 8,
    "only children": 4,
    "debug": 2,
    "eager": 2 if SINCE_3_12 else 0,
    "subclasses": 3,
    "foreign loop": 2,
    "stock primitives": 1,
    "stock futures": 1,
}
"""What a program runs on, and how often: `implementations.py` says what each means."""


def names(list_name, count):
    return [(1, f"{list_name}[{number}]") for number in range(count)]


EXPRESSIONS = {
    "lock": names("locks", 2),
    "event": names("events", 2),
    "condition": names("conditions", 2),
    "semaphore": names("semaphores", 3),
    "barrier": names("barriers", 2),
    "queue": names("queues", 5),
    "primitive": [
        (1, "{lock}"),
        (1, "{event}"),
        (1, "{condition}"),
        (1, "{semaphore}"),
        (1, "{barrier}"),
        (1, "{queue}"),
        (1, "w.limit({n})"),
        (1, "w.group({n})"),
        (1, "w.task({n})"),
        (1, "w.future({n})"),
    ],
    "manager": [(3, "{lock}"), (2, "{condition}"), (3, "{semaphore}"), (1, "{barrier}")],
    "delay": [(1, f"w.after({turns})") for turns in (-1, 0, 1, 1, 2, 3, 5, 9)],
    "limit": [(6, "{delay}"), (1, "None"), (1, "0"), (0.5, "-1")],
    "limit or none": [(6, "{delay}"), (3, "None")],
    "message": [(2, ""), (2, "'stop {n}'"), (0.5, "None"), (0.3, "('not', 'text')")],
    "error": [
        (4, "ValueError({n})"),
        (2, "KeyError({n})"),
        (1, "OSError({n}, 'no such luck')"),
        (1, "TimeoutError('mine')"),
        (1, "aio.CancelledError('mine')"),
        (0.5, "Stop({n})"),
        (0.5, "ExceptionGroup('mine', [ValueError({n}), KeyError()])"),
        (0.3, "StopIteration({n})"),
        (0.3, "aio.InvalidStateError({n})"),
        (0.1, "SystemExit({n})"),
    ],
    "caught": [
        (2, "ValueError"),
        (2, "Exception"),
        (3, "aio.CancelledError"),
        (2, "TimeoutError"),
        (1, "(KeyError, OSError)"),
        (1, "BaseException"),
    ],
    "some caught": [(1, "ValueError"), (1, "Exception"), (1, "TimeoutError"), (1, "OSError")],
    "future": [
        (6, "w.future({n})"),
        (4, "w.younger({n})"),
        (3, "w.start(s{script})"),
        (1, "w.done({n})"),
        (1, "w.failed({error})"),
        (1, "aio.ensure_future({awaitable})"),
        (1, "w.loop.create_task({coroutine})"),
        (2, "aio.shield({awaitable})"),
        (1, "aio.gather({awaitable}, {awaitable}, return_exceptions={truth})"),
        (0.5, "aio.wrap_future(w.concurrent({n}))"),
    ],
    "coroutine": [
        (5, "w.call(s{script})"),
        (2, "{queue}.get()"),
        (2, "{queue}.put({n})"),
        (1, "{queue}.join()"),
        (2, "{lock}.acquire()"),
        (2, "{semaphore}.acquire()"),
        (2, "{event}.wait()"),
        (1, "{barrier}.wait()"),
        (0.5, "{barrier}.reset()"),
        (0.3, "{barrier}.abort()"),
        (0.3, "{condition}.wait()"),
        (1, "aio.sleep({delay}, {n})"),
        (1, "aio.sleep(0, {n})"),
        (3, "aio.wait_for({awaitable}, {limit})"),
    ],
    "awaitable": [
        (5, "{coroutine}"),
        (5, "{future}"),
        (2, "aio.shield({awaitable})"),
        (2, "aio.gather({awaitable}, {awaitable}, return_exceptions={truth})"),
        (1, "aio.gather({future}, {awaitable}, {awaitable})"),
        (0.2, "aio.gather()"),
        (0.5, "w.awaitable({n})"),
    ],
    "truth": [(1, "True"), (2, "False")],
    "mode": [(1, "aio.ALL_COMPLETED"), (1, "aio.FIRST_COMPLETED"), (1, "aio.FIRST_EXCEPTION")],
    "call": [
        (4, "{event}.set()"),
        (2, "{event}.clear()"),
        (3, "{lock}.release()"),
        (3, "{semaphore}.release()"),
        (5, "{queue}.put_nowait({n})"),
        (3, "{queue}.get_nowait()"),
        (2, "{queue}.task_done()"),
        (2, "{condition}.notify()"),
        (1, "{condition}.notify_all()"),
        (5, "w.task({n}).cancel({message})"),
        (1, "w.task({n}).uncancel()"),
        (1, "w.task({n}).get_stack(limit=1)"),
        (2, "w.future({n}).cancel({message})"),
        (4, "w.future({n}).set_result({n})"),
        (3, "w.future({n}).set_exception({error})"),
        (1, "w.future({n}).result()"),
        (1, "w.future({n}).exception()"),
        (2, "w.future({n}).remove_done_callback(w.watcher)"),
        (1, "w.future({n}).add_done_callback(w.watcher)"),
        (5, "w.start(s{script})"),
        (2, "w.spawn({n}, s{script})"),
        (2, "w.limit({n}).reschedule({deadline})"),
        (1, "w.limit({n}).when()"),
        (1, "w.fail({error})"),
        (1, "w.remember({n})"),
        (5, "repr({primitive})"),
        (0.5, "({barrier}.n_waiting, {barrier}.parties, {barrier}.broken)"),
        (1, "{queue}.qsize()"),
        (1, "{manager}.locked()"),
        (1, "len(aio.all_tasks())"),
        (2, "w.soon(me, lambda: {call})"),
        (1, "w.soon(me, lambda: {call}).cancel()"),
        (1, "w.soon_from_elsewhere(me, lambda: {call})"),
        (2, "w.later(me, {delay}, lambda: {call})"),
        (0.5, "w.later(me, {delay}, lambda: {call}).cancel()"),
        (2, "w.watch(me, {future}, lambda: {call})"),
        (1, "w.concurrent({n}).set_result({n})"),
        (0.5, "w.concurrent({n}).cancel()"),
        (0.5, "aio.run_coroutine_threadsafe({coroutine}, w.loop)"),
        (0.7 if SINCE_3_13 else 0, "{queue}.shutdown(immediate={truth})"),
        (1 if SINCE_3_15 else 0, "w.group({n}).cancel()"),
    ],
    "deadline": [(4, "w.at({turns})"), (1, "None")],
    "turns": [(1, str(turns)) for turns in (-1, 0, 1, 2, 4, 8)],
}
"""What an expression may be, each with its weight."""

STATEMENTS = """
8
await aio.sleep(0)

3
await aio.sleep({delay})

14
say(await {awaitable})

14
w.tried(me, lambda: {call})

1
{call}

1
raise {error}

0.5
raise {error} from {error}

0.5
return {n}

1
aio.current_task().cancel({message})

1
say(aio.current_task().uncancel())

1
w.groups and w.tried(me, lambda: w.spawn({n}, s{script}))

1
kept = {awaitable}
{block}
say(await kept)

3
try:
    {block}
except {caught} as error:
    say(error)
    {block}

1
try:
    {block}
except {caught} as error:
    say(error)
    raise

1
try:
    {block}
except {caught} as error:
    say(error)
    raise {error}

1
try:
    {block}
except {caught} as error:
    say(error)
    raise {error} from error

1
try:
    {block}
except {caught} as error:
    say(error)
finally:
    {block}

1
try:
    {block}
finally:
    {block}

1
try:
    {block}
except* {some caught} as error:
    say(error)

4
async with {manager} as entered:
    say(entered)
    {block}

4
async with aio.timeout({limit}) as limit:
    w.limits.append(limit)
    {block}
say(limit.expired())

1
async with aio.timeout_at({deadline}) as limit:
    w.limits.append(limit)
    {block}

0.5
async with w.limit({n}):
    {block}

4
async with aio.TaskGroup() as group:
    w.groups.append(group)
    w.spawn(-1, s{script})
    {block}

2
async with aio.TaskGroup() as group:
    w.groups.append(group)
    w.spawn_in(group, {coroutine})
    {block}

0.5
async with w.group({n}):
    {block}

3
some = w.few_done([{future}, {future}])
say(await aio.wait(some, timeout={limit or none}, return_when={mode}))

1
say(await aio.wait(w.few_done([{future}, {future}, {future}])))

2
some = w.few_done([{future}, {future}, {future}])
for each in aio.as_completed(some, timeout={limit or none}):
    say(await each)

2 since 3.13
some = w.few_done([{future}, {future}])
async for each in aio.as_completed(some, timeout={limit or none}):
    say(each)

2
condition = {condition}
async with condition:
    say(await condition.wait())
    {block}

1
condition = {condition}
async with condition:
    say(await condition.wait_for(w.now_and_then))

1
condition = {condition}
async with condition:
    w.tried(me, lambda: condition.notify({n} % 3))
    {block}

2
queue = {queue}
for _ in range(2):
    say(await queue.get())
    {block}
    w.tried(me, queue.task_done)

1
queue = {queue}
for item in range({n} % 4):
    await queue.put(item)
    {block}
"""
"""What a statement may be, each with its weight and, perhaps, the first version of Python that has it.

A line that is only `{block}` stands for statements within.
"""


def weighted(paragraphs):
    """Yield the weight and the text of each paragraph that this Python has."""
    for paragraph in paragraphs.strip().split("\n\n"):
        first, text = paragraph.split("\n", 1)
        weight, _, since = first.partition(" since ")
        if not since or sys.version_info >= tuple(map(int, since.split("."))):
            yield float(weight), text


CHOICES = list(weighted(STATEMENTS))

SCRIPT = """\
async def s{number}(me):
    say = w.voice(me)
    try:
{body}
    except BaseException as error:
        say(error)
        raise
    finally:
        say("ends")

"""

EMPTY = "async def s{}(me): w.voice(me)\n"

PLACE = re.compile(r"\{([a-z ]+)\}")
RECURSIVE = re.compile(r"\{(awaitable|call|coroutine|future)\}")
BLOCK = re.compile(r"^( *)\{block\}$", re.MULTILINE)


@dataclass
class Statement:
    """Some lines of source, and the statements that go where a line is only `{block}`."""

    lines: str
    blocks: list[list["Statement"]] = field(default_factory=list)

    def source(self):
        blocks = iter(self.blocks)

        def within(match):
            return indented(source_of(next(blocks)), match[1])

        return BLOCK.sub(within, self.lines)


def source_of(statements):
    return "\n".join(statement.source() for statement in statements) or "pass"


def indented(text, indent):
    return "\n".join(indent + line for line in text.splitlines())


@dataclass
class Program:
    """A program and what it is to run on."""

    mode: str
    scripts: list[list[Statement]]
    _code: object = None

    def source(self):
        """Return the source, in which scripts that have been shrunk to nothing take one line."""
        return "".join(
            SCRIPT.format(number=number, body=indented(source_of(script), "        "))
            if script
            else EMPTY.format(number)
            for number, script in enumerate(self.scripts)
        )

    def code(self):
        """Return the compiled source, which both of the runs use."""
        if self._code is None:
            self._code = compile(self.source(), "<program>", "exec")
        return self._code


class Draw:
    """Draws statements from a source of chance."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def choose(self, choices, deep):
        """Choose a template; one that leads deeper only where there is room for it."""
        allowed = [(weight, text) for weight, text in choices if not (deep and RECURSIVE.search(text))]
        weights = [weight for weight, _ in allowed]
        return self.chance.choices([text for _, text in allowed], weights)[0]

    def expression(self, name, depth=0):
        if name == "n":
            return str(self.chance.randrange(100))
        if name == "script":
            return str(self.chance.randrange(SCRIPTS))
        return self.filled(self.choose(EXPRESSIONS[name], depth >= DEEPEST), depth + 1)

    def filled(self, text, depth=0):
        """Put a choice in every place of a template that is not for a block."""

        def choice(match):
            return match[0] if match[1] == "block" else self.expression(match[1], depth)

        return PLACE.sub(choice, text)

    def statement(self, depth):
        choices = [choice for choice in CHOICES if depth < DEEPEST or "{block}" not in choice[1]]
        text = self.choose(choices, deep=False)
        blocks = [self.statements(1, 3, depth + 1) for _ in BLOCK.findall(text)]
        return Statement(self.filled(text), blocks)

    def statements(self, least, most, depth=0):
        return [self.statement(depth) for _ in range(self.chance.randint(least, most))]


def draw(seed):
    """Return the program of a seed."""
    source = Draw(seed)
    mode = source.chance.choices(list(MODES), list(MODES.values()))[0]
    return Program(mode, [source.statements(2, 7) for _ in range(SCRIPTS)])
