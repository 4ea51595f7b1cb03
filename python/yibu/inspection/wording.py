"""How names and numbers stand in texts: what a program calls its tasks may forge no line and fill no screen.

Called by everything in this package that makes words or prints them.
"""

import unicodedata
from typing import Any

LONGEST_NAME = 200
"""So many characters of a name are shown. `TaskDescription.name`, and so the JSON, has all of them."""


def printable(text: str) -> str:
    """A text in one line: control characters, line separators and lone surrogates as `repr` writes them.

    Escape sequences of terminals begin with a control character, so they are shown and do nothing.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def unquoted(name: str) -> str:
    """A name in one line, cut where it is too long."""
    return printable(_cut(name))


def quoted(name: str) -> str:
    """A name likewise, in quotes: what `repr` gives unless the name is too long."""
    return repr(_cut(name))


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def encodable(text: str, stream: Any) -> str:
    """A text with escapes in place of what the encoding of a stream does not have."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese characters take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in ("W", "F"))
        for one in text
    )


def padded(text: str, width: int) -> str:
    """A text with spaces behind it, so that it takes so many columns."""
    return text + " " * (width - width_of(text))


def counted(number: int, what: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def with_article(what: str) -> str:
    """`a Lock`, `an Event`."""
    return f"an {what}" if what[:1] in tuple("AEIOUaeiou") else f"a {what}"


def listed(names: list[str], most: int) -> str:
    """`'a', 'b' and 'c'`; of more than `most` names the rest is a number."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    try:
        words = str(error)
    except Exception:  # an exception of the program's own may raise another one
        words = ""
    return printable(f"{type(error).__name__}: {words}" if words else type(error).__name__)
