"""A run as a document, as JUnit XML, and as one page to send to a vendor. None of them holds a secret: exchanges come
redacted, and the environment is the versions of what took part.
"""

from __future__ import annotations

import platform
from typing import Any
from xml.etree import ElementTree as ET

from calais.apps.certify.rules import Verdict
from calais.apps.certify.run import Report, Result

VERSION = 1


def environment() -> dict[str, str]:
    """What took part in the run, by name."""
    from calais import __version__  # noqa: PLC0415 - the package's face comes last

    return {
        "calais": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def document(report: Report) -> dict[str, Any]:
    """The whole report as plain values; the keys are documented in docs/commands.md."""
    return {
        "certify": VERSION,
        "subject": report.subject,
        "driver": report.driver,
        "card": report.card,
        "environment": environment(),
        "started": report.started.isoformat(timespec="seconds"),
        "destructive": report.is_destructive,
        "passed": report.passed,
        "summary": {verdict.name.lower(): report.count(verdict) for verdict in Verdict},
        "checks": [_check(result) for result in report.results],
        "figures": [
            {
                "operation": figure.operation,
                "exchanges": figure.exchanges,
                "bytes_out": figure.bytes_out,
                "bytes_in": figure.bytes_in,
                "milliseconds": round(figure.seconds * 1000, 2),
            }
            for figure in report.figures
        ],
    }


def _check(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": result.check.name,
        "chapter": result.check.chapter,
        "rule": result.check.rule,
        "source": result.check.source,
        "verdict": str(result.verdict),
        "milliseconds": round(result.seconds * 1000, 2),
        "exchanges": result.exchange_count,
    }
    if result.reason:
        found["reason"] = result.reason
    if result.verdict is Verdict.FAIL:
        found |= {"expected": result.expected, "came": result.came, "trace": list(result.exchanges)}
    return found


def junit(report: Report) -> bytes:
    """The report as JUnit XML: one suite for each chapter, one case for each check."""
    root = ET.Element("testsuites", name="calais certify")
    chapters: dict[str, list[Result]] = {}
    for result in report.results:
        chapters.setdefault(result.check.chapter, []).append(result)
    for title, results in chapters.items():
        _suite(root, report, title, results)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _suite(root: ET.Element, report: Report, title: str, results: list[Result]) -> None:
    failures = sum(result.verdict is Verdict.FAIL for result in results)
    left_out = sum(result.verdict in (Verdict.SKIPPED, Verdict.ABSENT) for result in results)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_xml(title),
        tests=str(len(results)),
        failures=str(failures),
        skipped=str(left_out),
        errors="0",
        time=f"{sum(result.seconds for result in results):.3f}",
        timestamp=report.started.isoformat(timespec="seconds"),
    )
    for result in results:
        _case(suite, report, result)


def _case(suite: ET.Element, report: Report, result: Result) -> None:
    where = _xml(report.driver)
    case = ET.SubElement(suite, "testcase", classname=where, name=result.check.name, time=f"{result.seconds:.3f}")
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", message=_xml(f"expected {result.expected}; came {result.came}"))
        failure.text = _xml("\n".join((result.check.rule, f"({result.check.source})", *result.exchanges)))
    elif result.verdict is not Verdict.PASS:
        ET.SubElement(case, "skipped", message=_xml(f"{result.verdict}: {result.reason}"))


def _xml(text: str) -> str:
    """``text`` without the characters that XML 1.0 cannot hold, however they are escaped."""
    return "".join(sign if _is_xml(ord(sign)) else f"\\x{ord(sign):02x}" for sign in text)


def _is_xml(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
