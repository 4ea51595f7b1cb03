"""Reads who imports whom in a Rust crate: its `use` lines and the paths in its code, through re-exports.

An arrow goes from a file to the file where the imported thing is, not to one that passes it on. Neither
comments nor the tests in a file are imports.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

Module = tuple[str, ...]

USE = re.compile(r"(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")
RELATIVE = re.compile(r"(?<![\w:])([a-z_]\w*)::(\w+)")


def split_tree(tree: str) -> list[list[str]]:
    """The paths of a use tree: `a::{b, c::d as e}` is a::b and a::c::d."""
    items, depth, item = [], 0, ""
    for character in tree + ",":
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            items.append(item.strip())
            item = ""
        else:
            item += character
    paths = []
    for item in filter(None, items):
        if "{" in item:
            prefix, rest = item.split("{", 1)
            head = [part for part in prefix.strip().split("::") if part]
            paths += [head + path for path in split_tree(rest.rpartition("}")[0])]
        else:
            plain = re.sub(r"\s+as\s+\w+$", "", item)
            paths.append([part.strip() for part in plain.split("::") if part.strip()])
    return paths


class Crate:
    """The files of a crate as modules, and what each imports."""

    def __init__(self, source: Path) -> None:
        self.files = {self._module(path.relative_to(source)): path for path in sorted(source.rglob("*.rs"))}
        self.texts = {
            module: COMMENT.sub("", path.read_text().split("#[cfg(test)]\nmod ")[0])
            for module, path in self.files.items()
        }
        # `use yibu_ffi as ffi;` in lib.rs: paths through these names lead to other crates.
        self.other_crates = set(re.findall(r"^use \w+ as (\w+);", self.texts.get((), ""), re.MULTILINE))
        self.passed_on: dict[Module, dict[str, tuple[Module, list[str]]]] = {}
        self.uses = {module: self._uses(module) for module in self.files}

    @staticmethod
    def _module(path: Path) -> Module:
        parts = path.with_suffix("").parts
        return () if parts == ("lib",) else tuple(part for part in parts if part != "mod")

    def _resolve(self, module: Module, path: list[str]) -> tuple[Module, list[str]] | None:
        """The file that a path leads into, and what is named inside of it; None for other crates."""
        start, index = module, 1
        if path[0] == "crate":
            start = ()
        elif path[0] == "super":
            index = 0
            while index < len(path) and path[index] == "super":
                start, index = start[:-1], index + 1
        elif path[0] != "self":
            if (*module, path[0]) not in self.files:
                return None
            index = 0
        while index < len(path) and (*start, path[index]) in self.files:
            start, index = (*start, path[index]), index + 1
        if not start and path[index:] and path[index] in self.other_crates:
            return None
        return start, path[index:]

    def _uses(self, module: Module) -> list[tuple[bool, list[str]]]:
        text, uses = self.texts[module], []
        body = USE.sub("", text)
        passed_on = self.passed_on.setdefault(module, {})
        for match in USE.finditer(text):
            for path in split_tree(match[2]):
                if match[1] and (target := self._resolve(module, path)):
                    passed_on[path[-1]] = target
                uses.append((bool(match[1]) and not re.search(rf"\b{re.escape(path[-1])}\b", body), path))
        names = {path[-1]: path for _, path in uses if path}
        uses += [(False, match[0].split("::")) for match in PATH.finditer(body)]
        for match in RELATIVE.finditer(body):
            if match[1] in names:
                uses.append((False, [*names[match[1]], match[2]]))
            elif (*module, match[1]) in self.files:
                uses.append((False, ["self", match[1], match[2]]))
        return uses

    def _follow(self, target: tuple[Module, list[str]]) -> tuple[Module, list[str]]:
        for _ in range(10):
            module, rest = target
            further = self.passed_on.get(module, {}).get(rest[0]) if rest else None
            if further is None:
                break
            target = (further[0], [*further[1], *rest[1:]])
        return target

    def arrows(self) -> dict[Module, set[Module]]:
        """For each file the files that it imports something from."""
        arrows: dict[Module, set[Module]] = {module: set() for module in self.files}
        for module, uses in self.uses.items():
            for only_passes_on, path in uses:
                target = self._resolve(module, path)
                if only_passes_on or target is None:
                    continue
                into, rest = self._follow(target)
                if rest and into != module:
                    arrows[module].add(into)
        return arrows


def circles(arrows: dict[Module, set[Module]]) -> list[set[Module]]:
    """The sets of files each of which imports all others of its set, by way of each other (Tarjan)."""
    index: dict[Module, int] = {}
    low: dict[Module, int] = {}
    stack: list[Module] = []
    found: list[set[Module]] = []

    def visit(module: Module) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(arrows[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            circle = set()
            while True:
                member = stack.pop()
                circle.add(member)
                if member == module:
                    break
            if len(circle) > 1:
                found.append(circle)

    for module in sorted(arrows):
        if module not in index:
            visit(module)
    return found


def name(module: Module) -> str:
    """A module as its file is called, without the ending."""
    return "/".join(module) or "lib"
