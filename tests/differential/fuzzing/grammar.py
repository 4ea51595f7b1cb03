"""How a random program is drawn from a seed, and what it is then.

A program is some coroutine functions, `s0`, `s1`, ..., as Python source.  It is drawn from the templates of
`choices.py` and kept as a tree of statements, so that it can be shrunk.
"""

import random
import re
from dataclasses import dataclass, field

from .choices import CHOICES, EXPRESSIONS, MODES, MORE, allowed

SCRIPTS = 10
DEEPEST = 2
"""How deep blocks, and expressions within expressions, may be nested."""

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
    choice: int = 0
    """What the mode leaves open is chosen by this."""
    _code: object = None

    def with_script(self, number, script):
        """Return the program with another script in the place of one of its own."""
        scripts = [*self.scripts[:number], script, *self.scripts[number + 1 :]]
        return Program(self.mode, scripts, self.choice)

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
        self.mode = self.chance.choices(list(MODES), list(MODES.values()))[0]
        more = MORE.get(self.mode, {})
        self.expressions = {
            name: [
                (weight, text)
                for weight, text in EXPRESSIONS.get(name, []) + more.get(name, [])
                if allowed(text)
            ]
            for name in EXPRESSIONS | more
        }

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
        return self.filled(self.choose(self.expressions[name], depth >= DEEPEST), depth + 1)

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
    return Program(source.mode, [source.statements(2, 7) for _ in range(SCRIPTS)], seed)
