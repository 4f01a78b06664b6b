"""A face is one line under Microsoft's name; the table of the surface says the same as the modules."""

import ast
import csv
import importlib
import inspect
from pathlib import Path

import pytest

WINAPI = Path(importlib.import_module("calais.winapi").__file__).parent
TABLE = list(csv.DictReader((WINAPI / "surface.csv").read_text(encoding="utf-8").splitlines()))
MODULES = sorted({row["module"] for row in TABLE})
DUTIES = ("", "Yes", "No", "No (Optional)", "Yes (Optional)")


def faces(source):
    """The functions under Windows' names: those that begin with a capital."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [node for node in functions if node.name[0].isupper()]


def is_one_call(function):
    """A docstring, then one ``return call(…)`` or ``call(…)``, with nothing but names and attributes called in it."""
    body = function.body
    if ast.get_docstring(function) is None or len(body) != 2:
        return False
    statement = body[1]
    if not isinstance(statement, ast.Return | ast.Expr):
        return False
    return isinstance(statement.value, ast.Call)


def sources(module):
    """The texts of a module, or of all that a package of faces is made of."""
    path = Path(module.__file__)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return [each.read_text(encoding="utf-8") for each in files]


def module_of(path):
    """Which module shows the faces of a file: itself, or the package it is in."""
    return path.relative_to(WINAPI).with_suffix("").parts[0]


@pytest.mark.parametrize(
    "path", sorted(WINAPI.rglob("*.py")), ids=lambda path: path.relative_to(WINAPI).as_posix().replace("/", "-")
)
def test_the_body_of_every_face_is_one_call(path):
    assert [face.name for face in faces(path.read_text(encoding="utf-8")) if not is_one_call(face)] == []


@pytest.mark.parametrize(
    "body",
    [
        "return call(x)",
        "'''Text.'''\n    y = call(x)\n    return y",
        "'''Text.'''\n    if x:\n        call(x)",
        "'''Text.'''\n    return x",
        "'''Text.'''\n    return call(x) if x else None",
        "'''Text.'''",
    ],
)
def test_anything_else_is_refused(body):
    assert not is_one_call(faces(f"def Face(x):\n    {body}\n")[0])


@pytest.mark.parametrize("module", MODULES)
def test_the_table_lists_the_faces_with_their_arguments(module):
    loaded = importlib.import_module(f"calais.winapi.{module}")
    tree = [face for source in sources(loaded) for face in faces(source)]
    written = {face.name: " ".join(inspect.signature(getattr(loaded, face.name)).parameters) for face in tree}
    assert written == {row["function"]: row["arguments"] for row in TABLE if row["module"] == module}


def test_every_module_of_faces_is_in_the_table():
    with_faces = {module_of(path) for path in WINAPI.rglob("*.py") if faces(path.read_text(encoding="utf-8"))}
    assert with_faces == set(MODULES)


def test_the_table_is_sorted_and_each_duty_is_one_of_microsoft_s():
    keys = [(row["module"], row["function"]) for row in TABLE]
    assert keys == sorted(set(keys))
    assert {row["read-only duty"] for row in TABLE} <= set(DUTIES)


@pytest.mark.parametrize("module", MODULES)
def test_constants_and_codes_are_importable_from_the_module(module):
    loaded = importlib.import_module(f"calais.winapi.{module}")
    assert {"E_INVALIDARG", "ERROR_INVALID_PARAMETER"} <= vars(loaded).keys()
