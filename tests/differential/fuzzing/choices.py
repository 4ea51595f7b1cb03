"""What random programs may consist of: statements and expressions, each with its weight.

A template has names in braces, each of which stands for a choice of its own. The names that the source uses
(`w`, `say`, `locks`, ...) are those of `world.py`. Called by `grammar.py`.

Nothing in a program may depend on what asyncio leaves open: the order of equal deadlines, and that of a set.
"""

import sys

LOST = (
    "lock",
    "event",
    "condition",
    "semaphore",
    "barrier",
    "get",
    "put",
    "join",
    "future",
    "gather",
    "wait",
    "shield",
)
"""What a task may wait for of which nothing is left but itself."""

SINCE_3_12 = sys.version_info >= (3, 12)
SINCE_3_13 = sys.version_info >= (3, 13)
SINCE_3_14 = sys.version_info >= (3, 14)
SINCE_3_15 = sys.version_info >= (3, 15)

MODES = {
    "plain": 8,
    "only children": 4,
    "debug": 2,
    "eager": 2 if SINCE_3_12 else 0,
    "subclasses": 3,
    "overrides": 4,
    "patches": 4,
    # On 3.12 one program in a thousand receives a turn earlier on asyncio; why is not known yet.
    "wires": 0 if sys.version_info[:2] == (3, 12) else 4,
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
        (1, "w.nested({nest}, {depth}, {awaitable})"),
    ],
    "depth": [(1, str(depth)) for depth in (3, 20, 40)],
    "nest": [(1, f"'{nest}'") for nest in ("gather", "shield", "wait_for", "timeout", "task", "coroutine")],
    "lost": [(1, f"'{lost}'") for lost in LOST],
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
        (1, "w.stack({n})"),
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
        (1.5, "w.by_thread(me, lambda: {call})"),
        (0.7, "w.in_thread(lambda: w.concurrent({n}).set_result({n}))"),
        (0.5, "w.in_thread(lambda: aio.run_coroutine_threadsafe({coroutine}, w.loop))"),
        (0.7, "w.loop.set_debug({truth})"),
        (0.7, "w.collect()"),
        (1, "w.lose({lost})"),
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

2
await w.cut(me, lambda: {coroutine})

1
await w.cut(me, lambda: w.nest({awaitable}))

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


LEFT_OUT = {
    (3, 13): [
        # Cancellations from outside get lost when a child fails at the same time (mended in 3.13).
        "TaskGroup",
        "w.group",
        "w.spawn",
        # What a cancelled task was told is lost, and so is who should have been woken (mended in 3.13).
        "condition",
        "barrier",
        # An error on the way out of a timeout says nothing of the timeout (since 3.13 it does).
        "aio.timeout",
        "w.limit",
        # A task that takes back its cancellation in time is cancelled nevertheless (mended in 3.13).
        "uncancel",
    ],
    (3, 12): [
        # Swallows cancellations, and takes other turns (written anew in 3.12).
        "wait_for",
        "'timeout'",
        # Those who wait are passed over, or woken in another order (written anew in 3.12).
        "semaphore",
        "manager",
    ],
}
"""What asyncio of old versions does wrong: words of choices that those versions do not get."""


def allowed(text):
    """Tell whether asyncio of this Python is right about what a choice consists of."""
    return not any(
        word in text for version, words in LEFT_OUT.items() if sys.version_info < version for word in words
    )


def weighted(paragraphs):
    """Yield the weight and the text of each paragraph that this Python has."""
    for paragraph in paragraphs.strip().split("\n\n"):
        first, text = paragraph.split("\n", 1)
        weight, _, since = first.partition(" since ")
        if allowed(text) and (not since or sys.version_info >= tuple(map(int, since.split(".")))):
            yield float(weight), text


CHOICES = list(weighted(STATEMENTS))

MORE = {
    "patches": {"call": [(12, "w.patch({n})")]},
    "wires": {
        "bytes": [
            (3, "b'{n}'"),
            (3, "b'{n}\\n'"),
            (2, "bytes({n})"),
            (1, "bytes(70000)"),
            (1, "bytes(400000)"),
            (0.5, "b''"),
        ],
        "call": [
            (6, "w.wires.any({n}).write({bytes})"),
            # Before 3.14 it does not pause the protocol, and fails on a lost connection.
            (2 if SINCE_3_14 else 0, "w.wires.any({n}).writelines([{bytes}, {bytes}])"),
            (1, "w.wires.any({n}).write_eof()"),
            (2, "w.wires.any({n}).pause_reading()"),
            (3, "w.wires.resume({n})"),
            (1, "w.wires.any({n}).is_reading()"),
            (1, "w.wires.any({n}).is_closing()"),
            (1, "w.wires.any({n}).close()"),
            (1, "w.wires.any({n}).abort()"),
            (1, "w.wires.noted({n}).set_write_buffer_limits({n})"),
            (2, "w.wires.any({n}).get_write_buffer_size()"),
            (1, "w.wires.another_protocol({n})"),
            (3, "w.wires.datagrams().sendto({bytes})"),
            (6, "w.wires.peer({n}).send({bytes})"),
            (4, "len(w.wires.peer({n}).recv(100000))"),
            (1, "w.wires.shut({n})"),
            (0.5, "w.wires.peer({n}).close()"),
            (1, "w.wires.close_behind({n})"),
            (4, "w.wires.order({n}, lambda: {call})"),
            (3, "w.wires.writer({n}).write({bytes})"),
            (1, "w.wires.watch({n}, lambda: {call})"),
            (1, "w.wires.watched[{n} % 2].send(b'{n}')"),
            (1, "w.loop.remove_reader(w.wires.watched[{n} % 2])"),
        ],
        "coroutine": [
            (6, "w.wires.read({n})"),
            (3, "w.wires.writer({n}).drain()"),
            (0.5, "w.wires.writer({n}).wait_closed()"),
            (2, "w.wires.send({n}, {bytes})"),
            (2, "w.wires.receive({n})"),
        ],
    },
}
"""What expressions may be besides, in one mode only."""
