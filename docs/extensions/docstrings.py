"""Docstrings as they are written, which is for `help()`, made into what Sphinx reads.

In asyncio's docstrings, and in yibu's, a star is a star and an indented block is an example; to Sphinx a star
begins emphasis, and an indented block a quotation.
"""

import re
from typing import Any

from sphinx.application import Sphinx


def prepare(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Change the lines of one docstring in place."""
    result: list[str] = []
    example = item = False
    for line in lines:
        text, indented = line.strip(), line.startswith((" ", "\t"))
        if text and not indented:
            if example:
                result.append("")
            example, item = False, text.startswith("- ")
        elif indented and not example and not item and (not result or not result[-1]):
            result += ["::", ""]
            example = True
        if example:
            result.append(line)
        else:
            # What goes on in the next line belongs to the item of the list.
            result.append(f"  {prose(text)}" if item and indented else prose(text))
    lines[:] = result


def prose(line: str) -> str:
    """A line of text, in which nothing but a word in backticks is more than it seems."""
    parts = re.split(r"(`+[^`]+`+)", line)
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = f"``{part.strip('`')}``"
        else:
            parts[index] = re.sub(r"([*|_\\])", r"\\\1", part)
    return "".join(parts)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
