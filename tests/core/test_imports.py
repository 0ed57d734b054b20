"""The core imports only itself, attrs and the pure parts of the standard library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import core

ALLOWED = {
    "attrs",
    "collections",
    "collections.abc",
    "contextlib",
    "datetime",
    "enum",
    "functools",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "types",
    "typing",
}
FOLDER = Path(core.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
IMPURE_NAMES = {"open", "print", "input", "exec", "eval", "__import__"}
IMPURE_CALLS = {"now", "today", "utcnow"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module


def _allowed(module: str) -> bool:
    return module in ALLOWED or module == "core" or module.startswith("core.")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_core_imports_only_what_is_pure(path: Path) -> None:
    """No core module imports anything but the core, attrs and the allowed modules."""
    strange = [name for name in _imports(ast.parse(path.read_text("utf-8"))) if not _allowed(name)]
    assert strange == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_core_does_no_input_and_asks_no_clock(path: Path) -> None:
    """No core module opens, prints, evaluates, or reads the system clock."""
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert names & IMPURE_NAMES == set()
    assert called & IMPURE_CALLS == set()


def test_there_are_modules_to_check() -> None:
    """The check covers the core's modules, ports included, and detects their imports."""
    assert {"run.py", "fields.py", "ingest.py", "run_repository.py"} <= {path.name for path in MODULES}
    assert "core.model.run" in set(_imports(ast.parse((FOLDER / "use_cases" / "ingest.py").read_text("utf-8"))))
    assert not _allowed("apsw")
    assert not _allowed("corepy")
