"""In which line a function of asyncio logs or warns, so that records of native code name the same line.

Asked once for each message, by `frames.rs`.
"""

import dis
from collections.abc import Iterator
from types import CodeType

_Range = tuple[int, int, int, int]  # first line, first column, last line, last column


def line_of_call(code: CodeType, text: str, names: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the constant with which the message begins, and the line of the call that is made with it.

    A message that is composed of what the function was given has no such constant (it is empty): the call is
    that of one of `names`.
    """
    instructions = list(dis.get_instructions(code))
    calls = [place for i in instructions if i.opname.startswith("CALL") for place in _places(i)]
    constant, places = "", list[_Range]()
    for instruction in instructions:
        value = instruction.argval
        is_text = instruction.opname.startswith("LOAD_CONST") and isinstance(value, str)
        if is_text and len(value) > len(constant) and text.startswith(value):
            constant, places = value, list(_places(instruction))
    if not constant:
        named = [i for i in instructions if i.opname.startswith("LOAD") and i.argval in names]
        places = [place for instruction in named for place in _places(instruction)]
    around = [call for call in calls for place in places[:1] if _contains(call, place)]
    if not around:
        return None
    # The innermost one begins last.
    return constant, max(around, key=lambda call: call[:2])[0]


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
