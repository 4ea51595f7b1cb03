"""Reads the source of a test and says what it reaches into; `exclusions` decides what that means."""

import ast
import sys
from dataclasses import dataclass, field

# What a test calls its own things by; their private attributes are its own business.
OWN_NAMES = {"self", "cls", "inner_self"}


@dataclass
class Reach:
    """What a test and the methods that it calls touch besides public names."""

    private_attributes: set[str] = field(default_factory=set)  # read, called or deleted; `x._name`
    assigned_attributes: set[str] = field(default_factory=set)  # only assigned; `x._name = ...`
    patched: set[str] = field(default_factory=set)  # targets of mock.patch("...")

    def add(self, other: "Reach") -> None:
        self.private_attributes |= other.private_attributes
        self.assigned_attributes |= other.assigned_attributes
        self.patched |= other.patched


# The module of the shared base class; its methods work for any loop once `fixtures` is done with them.
TOOLS = "test.test_asyncio.utils"

Method = ast.FunctionDef | ast.AsyncFunctionDef


class Sources:
    """The parsed sources of the test modules of this process."""

    def __init__(self) -> None:
        self._methods: dict[str, dict[tuple[str, str], Method]] = {}

    def reach(self, class_: type, method: str) -> Reach:
        """What `class_.method` reaches into, following the calls of its own methods."""
        return self._reach(class_, method, set())

    def _reach(self, class_: type, method: str, seen: set[str]) -> Reach:
        reach = Reach()
        node = None if method in seen else self._find(class_, method)
        if node is None:
            return reach
        seen.add(method)
        for decorator in node.decorator_list:
            # test_base_events has a shorthand of its own for patching the stock loop's socket module.
            if ast.unparse(decorator) == "patch_socket":
                reach.patched.add("asyncio.base_events.socket")
        assigned = _assigned(node)
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute):
                self._attribute(part, part in assigned, reach, class_, seen)
            elif (
                isinstance(part, ast.Call)
                and ast.unparse(part.func) in ("mock.patch", "patch")
                and part.args
                and isinstance(part.args[0], ast.Constant)
            ):
                reach.patched.add(part.args[0].value)
        return reach

    def _attribute(
        self, part: ast.Attribute, assigned: bool, reach: Reach, class_: type, seen: set[str]
    ) -> None:
        if isinstance(part.value, ast.Name) and part.value.id in OWN_NAMES:
            if not part.attr.startswith("test"):
                reach.add(self._reach(class_, part.attr, seen))
        elif part.attr.startswith("_") and not part.attr.startswith("__"):
            if assigned:
                reach.assigned_attributes.add(part.attr)
            else:
                reach.private_attributes.add(part.attr)

    def _find(self, class_: type, method: str) -> Method | None:
        for owner in class_.__mro__:
            defined = vars(owner).get(method)
            if defined is not None:
                if getattr(defined, "__module__", None) != owner.__module__ or owner.__module__ == TOOLS:
                    # Replaced by `fixtures`, or one of the tools that all tests share.
                    return None
                methods = self._module(owner.__module__)
                # Class decorators put functions of their own into classes; those are found by name alone.
                return methods.get((owner.__name__, method)) or methods.get(("", method))
        return None

    def _module(self, name: str) -> dict[tuple[str, str], Method]:
        if name not in self._methods:
            found: dict[tuple[str, str], Method] = {}
            file = sys.modules[name].__file__
            assert file is not None
            with open(file, encoding="utf-8") as source:
                tree = ast.parse(source.read())
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    found |= {(node.name, n.name): n for n in node.body if isinstance(n, Method)}
                elif isinstance(node, Method):
                    found.setdefault(("", node.name), node)
            self._methods[name] = found
        return self._methods[name]


def _assigned(node: ast.AST) -> set[ast.AST]:
    """Every attribute that is assigned, or that an assignment goes through: `x._a` in `x._a.b.c = 1`."""
    found: set[ast.AST] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            inner: ast.AST = part
            while isinstance(inner, ast.Attribute):
                found.add(inner)
                inner = inner.value
    return found
