"""Makes a program smaller as long as it still does what makes it interesting.  Called by `fuzz.py`."""

import copy

from .grammar import Program


def shrunk(program, interesting):
    """Return a program of which no statement can be dropped, or replaced by one of its blocks."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in candidates(program):
            if interesting(candidate):
                program, smaller = candidate, True
                break
    return program


def candidates(program):
    """Yield programs with something missing, those that miss most first."""
    for number, script in enumerate(program.scripts):
        if script:
            yield program.with_script(number, [])
    for number, script in enumerate(program.scripts):
        for less in without_one(script):
            yield program.with_script(number, less)
    if program.mode != "plain":
        yield Program("plain", program.scripts, program.choice)


def without_one(statements):
    """Yield lists of statements that have one less, or the contents of one in its place."""
    for number, statement in enumerate(statements):
        before, after = statements[:number], statements[number + 1 :]
        yield [*before, *after]
        for block in statement.blocks:
            yield [*before, *block, *after]
    for number, statement in enumerate(statements):
        for place, block in enumerate(statement.blocks):
            for less in without_one(block):
                other = copy.copy(statement)
                other.blocks = [*statement.blocks[:place], less, *statement.blocks[place + 1 :]]
                yield [*statements[:number], other, *statements[number + 1 :]]
