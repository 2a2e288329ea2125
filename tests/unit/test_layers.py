"""The layers hold: read from the source, so that a wrong import is found without anything running."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import router

ROUTER = Path(router.__file__).parent

PROTOCOL = (
    *("ami.framing", "ami.messages", "ami.session"),
    *(f"rules.{path.stem}" for path in sorted((ROUTER / "rules").glob("*.py")) if path.stem != "__init__"),
    *("calls.events", "calls.verdict", "calls.call", "calls.decisions"),
    "journal.records",
    "control.protocol",
)
READS_ITS_FILE = {"rules.document"}
NAMED_ONLY = {
    # For the type of a lookup's answer; it is handed one, and asks for none.
    ("calls.decisions", "callers.registry"),
}
IO_MODULES = frozenset(
    {
        *("socket", "ssl", "select", "selectors", "socketserver", "asyncio", "uvloop", "redis", "http"),
        *("subprocess", "multiprocessing", "threading", "concurrent", "signal", "sqlite3", "tempfile", "shutil"),
        *("urllib.request", "logging", "structlog"),
    }
)
FILE_CALLS = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes", "fdopen"})


def layers() -> list[str]:
    """The packages, topmost first, as router/__init__.py tells them."""
    return re.findall(r"^    (\w+)(?:/|\.py) ", router.__doc__ or "", re.MULTILINE)


def modules() -> dict[str, Path]:
    """Every module below router/, `ami.link`, and its file; a package goes by its own name."""
    return {
        ".".join(path.relative_to(ROUTER).with_suffix("").parts).removesuffix(".__init__"): path
        for path in ROUTER.rglob("*.py")
        if path != ROUTER / "__init__.py"
    }


def imported(source: str) -> Iterator[str]:
    """Everything imported anywhere in a module; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def above_violations(name: str, source: str) -> list[str]:
    order = layers()
    own = name.partition(".")[0]
    wrong = [module for module in imported(source) if module.startswith(".")]
    ours = {module.split(".")[1] for module in imported(source) if module.startswith("router.")}
    return wrong + [other for other in sorted(ours & set(order)) if order.index(other) > order.index(own)]


def io_imports(source: str) -> set[str]:
    return {module for module in imported(source) if {module, module.partition(".")[0]} & IO_MODULES}


def file_calls(source: str) -> list[str]:
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called]
    return [name for name in names if name in FILE_CALLS]


def prints_or_exits(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id="print" | "input" | "exit" | "quit" | "SystemExit" as name):
                found.append(name)
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit" | "stdout" | "stderr" as name):
                found.append(f"sys.{name}")
            case ast.Attribute(value=ast.Name(id="os"), attr="_exit" | "abort" as name):
                found.append(f"os.{name}")
    return found + [module for module in imported(source) if module.partition(".")[0] in {"click", "rich"}]


def reached_from(name: str) -> set[str]:
    """The module and everything of ours that is loaded with it, by what they import directly or through others."""
    known, reached, todo = modules(), set[str](), [name]
    while todo:
        here = todo.pop()
        reached.add(here)
        ours = {module.removeprefix("router.") for module in imported(known[here].read_text())}
        todo += [other for other in ours if other in known and other not in reached and (here, other) not in NAMED_ONLY]
    return reached


def test_every_module_belongs_to_a_layer_that_is_told_of() -> None:
    assert {name.partition(".")[0] for name in modules()} == set(layers())


@pytest.mark.parametrize("name", modules())
def test_a_package_imports_only_from_those_above_it(name: str) -> None:
    assert above_violations(name, modules()[name].read_text()) == []


@pytest.mark.parametrize("name", PROTOCOL)
def test_protocol_parts_and_what_they_import_do_no_io(name: str) -> None:
    for reached in reached_from(name):
        source = modules()[reached].read_text()
        assert (reached, io_imports(source)) == (reached, set())
        if reached not in READS_ITS_FILE:
            assert (reached, file_calls(source)) == (reached, [])


@pytest.mark.parametrize("name", [name for name in modules() if not name.startswith("cli")])
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    assert prints_or_exits(modules()[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("ami.link", "from router.calls.desk import CallDesk"),
        ("ami.link", "def late():\n    import router.rules.book"),
        ("rules.book", "from router import speech"),
        ("calls.desk", "from router.daemon import Daemon"),
        ("errors", "import router.ami"),
        ("ami.link", "from ..calls import desk"),
    ],
)
def test_an_import_from_below_is_found(name: str, source: str) -> None:
    assert above_violations(name, source)


def test_io_is_found() -> None:
    assert io_imports("from redis.asyncio import Redis\nimport urllib.request") == {
        *("redis.asyncio", "redis.asyncio.Redis", "urllib.request"),
    }
    assert not io_imports("from urllib.parse import unquote")
    assert file_calls("open('x')\npath.read_text()\npath.open()\nclose()") == ["open", "read_text", "open"]


@pytest.mark.parametrize(
    "source", ["print()", "sys.exit(1)", "raise SystemExit", "os._exit(1)", "sys.stderr.write('')", "import click"]
)
def test_printing_and_exiting_are_found(source: str) -> None:
    assert prints_or_exits(source)
