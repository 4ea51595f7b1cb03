"""In which line a function of asyncio logs or warns, so that records of native code name the same line.

Asked once for each message, by `frames.rs`.
"""

import dis
from collections.abc import Iterator
from types import CodeType

_Range = tuple[int, int, int, int]  # first line, first column, last line, last column


def line_of_call(code: CodeType, text: str, names: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the constant with which the message begins, and the line of the call that is made with it.

    A message that is composed before, or of what the function was given (the constant is empty then), has the
    call of one of `names` that comes next.
    """
    instructions = list(dis.get_instructions(code))
    calls = [place for i in instructions if i.opname.startswith("CALL") for place in _places(i)]
    constant, beginning = "", (0, 0, 0, 0)
    for instruction in instructions:
        value = instruction.argval
        is_text = instruction.opname.startswith("LOAD_CONST") and isinstance(value, str)
        if is_text and len(value) > len(constant) and text.startswith(value):
            for place in _places(instruction):
                constant, beginning = value, place
    around = [call for call in calls if _contains(call, beginning)]
    if not around:
        named = (i for i in instructions if i.opname.startswith("LOAD") and i.argval in names)
        later = [place for i in named for place in _places(i) if place >= beginning]
        around = [call for call in calls if later and _contains(call, min(later))]
    # The innermost one begins last.
    return (constant, max(around, key=lambda call: call[:2])[0]) if around else None


def _places(instruction: dis.Instruction) -> Iterator[_Range]:
    at = instruction.positions
    if at is not None and None not in at:
        lineno, end_lineno, col_offset, end_col_offset = at
        assert lineno is not None
        assert end_lineno is not None
        assert col_offset is not None
        assert end_col_offset is not None
        yield lineno, col_offset, end_lineno, end_col_offset


def _contains(outer: _Range, inner: _Range) -> bool:
    return outer[:2] <= inner[:2] and outer[2:] >= inner[2:] and outer != inner
