"""House sizes: no function above 60 lines, no file above 500, the median at most 10; no deferred work in the code.

Tables of constants are exempt by name, below. Prints the numbers and ends with status 1 when one is broken.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from pathlib import Path

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 500
MAX_MEDIAN_LINES = 10
ROOTS = ("src", "tests", "scripts", "bench")
TABLES = ("src/calais/win/flags/", "src/calais/win/codes.py", "src/calais/cards/piv/spec.py")
DEFERRED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b|raise NotImplemented" + "Error")


def function_sizes(source: str) -> list[tuple[str, int, int]]:
    """Name, first line and number of lines of each function of a module; a docstring does not count."""
    return [
        (node.name, node.lineno, _lines(node))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return total
    text = node.body[0]
    return total - ((text.end_lineno or text.lineno) - text.lineno + 1)


def faults_of(path: str, source: str) -> list[str]:
    """What breaks a rule in one file, each as ``path:line: what``."""
    lines = source.splitlines()
    found = [f"{path}:{at}: deferred work" for at, line in enumerate(lines, 1) if DEFERRED.search(line)]
    if len(lines) > MAX_FILE_LINES and not path.startswith(TABLES):
        found.append(f"{path}:1: {len(lines)} lines, {MAX_FILE_LINES} allowed")
    return found + [
        f"{path}:{at}: {name} has {size} lines, {MAX_FUNCTION_LINES} allowed"
        for name, at, size in function_sizes(source)
        if size > MAX_FUNCTION_LINES
    ]


def main(root: Path) -> int:
    """Measure everything below ``root``; 1 when a rule is broken."""
    files = sorted(path for top in ROOTS for path in (root / top).rglob("*.py"))
    sources = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}
    faults = [fault for path, source in sources.items() for fault in faults_of(path, source)]
    ours = [size for path, source in sources.items() if path.startswith("src/") for *_, size in function_sizes(source)]
    median = statistics.median(ours or [0])
    if median > MAX_MEDIAN_LINES:
        faults.append(f"src: the median function has {median:g} lines, {MAX_MEDIAN_LINES} allowed")
    for fault in faults:
        print(fault)
    ninety = sorted(ours or [0])[len(ours) * 9 // 10]
    print(
        f"sizes: {len(ours)} functions in src, median {median:g}, 9 of 10 within {ninety}, longest {max(ours or [0])}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
