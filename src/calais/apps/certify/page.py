"""The report as one HTML page that needs nothing else: no script, no picture, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --none: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
.pass { color: var(--good); } .fail { color: var(--bad); } .skipped, .none { color: var(--none); }
.score { display: flex; gap: 2rem; margin: 1rem 0; padding: .8rem 1.2rem; border: 1px solid var(--line); }
.score b { display: block; font-size: 1.8rem; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .8rem .25rem 0;
border-bottom: 1px solid var(--line); vertical-align: top; } td.n, th.n { text-align: right; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; }
summary b { display: inline-block; min-width: 7.5rem; } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem; border: 1px solid var(--line); }
dl { display: grid; grid-template-columns: 7.5rem 1fr; margin: .4rem 0; } dt { color: var(--none); } dd { margin: 0; }
"""
_INTRODUCTION = (
    "Minidriver certification by Calais. Every rule was tried on the card named below; what failed stands first, with "
    "what was expected, what came, and the exchanges with the card. PINs and keys are left out."
)
_CLASS = {"pass": "pass", "fail": "fail", "skipped": "skipped", "not applicable": "none"}
_COUNTS = (
    ("pass", "passed", "pass"),
    ("fail", "failed", "fail"),
    ("skipped", "skipped", "skipped"),
    ("absent", "not applicable", "none"),
)


def page(found: Mapping[str, Any]) -> str:
    """The page for what ``report.document`` made."""
    title = f"{found['driver'].rsplit('.', 1)[-1]}: {'passed' if found['passed'] else 'failed'}"
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)} - Calais certify</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(_INTRODUCTION)}</p>",
            _score(found["summary"]),
            _facts(found),
            *_failures(found["checks"]),
            *_chapters(found["checks"]),
            _figures(found["figures"]),
            "</body></html>\n",
        )
    )


def _score(summary: Mapping[str, int]) -> str:
    cells = (f'<div class="{style}"><b>{summary[key]}</b>{escape(text)}</div>' for key, text, style in _COUNTS)
    return f'<div class="score">{"".join(cells)}</div>'


def _facts(found: Mapping[str, Any]) -> str:
    changed = "changes were allowed" if found["destructive"] else "nothing on the card was changed"
    pairs = [
        ("Tried", found["subject"]),
        ("Driver", found["driver"]),
        *((f"Card, {name.replace('_', ' ')}", value) for name, value in found["card"].items()),
        ("Started", found["started"]),
        ("Changes", changed),
        *((name.capitalize(), value) for name, value in found["environment"].items()),
    ]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in pairs)
    return f"<table>{rows}</table>"


def _failures(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    failed = [check for check in checks if check["verdict"] == "fail"]
    if not failed:
        return []
    return ["<h2>What failed</h2>", *(_details(check, is_open=True) for check in failed)]


def _chapters(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    parts, chapter = [], None
    for check in checks:
        if check["chapter"] != chapter:
            chapter = check["chapter"]
            parts.append(f"<h2>{escape(chapter)}</h2>")
        parts.append(_details(check, is_open=False))
    return parts


def _details(check: Mapping[str, Any], *, is_open: bool) -> str:
    verdict = check["verdict"]
    lines = [("Rule", check["rule"]), ("Source", check["source"])]
    lines += [(name.capitalize(), check[name]) for name in ("reason", "expected", "came") if check.get(name)]
    lines.append(("Cost", f"{check['exchanges']} exchanges, {check['milliseconds']} ms"))
    facts = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in lines)
    trace = "\n".join(check.get("trace", ()))
    return (
        f"<details{' open' if is_open else ''}><summary>"
        f'<b class="{_CLASS[verdict]}">{escape(verdict)}</b> <code>{escape(check["name"])}</code></summary>'
        f"<dl>{facts}</dl>{f'<pre>{escape(trace)}</pre>' if trace else ''}</details>"
    )


def _figures(figures: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td>{escape(row["operation"])}</td><td class="n">{row["exchanges"]}</td><td class="n">{row["bytes_out"]}'
        f'</td><td class="n">{row["bytes_in"]}</td><td class="n">{row["milliseconds"]}</td></tr>'
        for row in figures
    )
    head = "".join(f'<th class="n">{name}</th>' for name in ("exchanges", "bytes out", "bytes in", "ms"))
    return (
        f"<h2>What operations cost</h2><p>Told, not judged.</p><table><tr><th>operation</th>{head}</tr>{rows}</table>"
    )
