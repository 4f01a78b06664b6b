"""All checks of the kit, in the order in which they are tried: looking first, changing last."""

from __future__ import annotations

from calais.apps.certify.checks import (
    admin,
    arguments,
    capacity,
    containers,
    contexts,
    entry,
    faults,
    files,
    filewriting,
    keyuse,
    pinchange,
    pins,
    pivdata,
    properties,
    readonly,
    session,
    signing,
    writing,
)
from calais.apps.certify.rules import Chapter, Check

CHAPTERS: tuple[Chapter, ...] = (
    files.CHAPTER,
    containers.CHAPTER,
    capacity.CHAPTER,
    properties.CHAPTER,
    pins.CHAPTER,
    admin.CHAPTER,
    signing.CHAPTER,
    keyuse.CHAPTER,
    session.CHAPTER,
    entry.CHAPTER,
    arguments.CHAPTER,
    pivdata.CHAPTER,
    readonly.CHAPTER,
    contexts.CHAPTER,
    faults.CHAPTER,
    writing.CHAPTER,
    filewriting.CHAPTER,
    pinchange.CHAPTER,
)


def all_checks() -> list[Check]:
    """Every check."""
    return [check for chapter in CHAPTERS for check in chapter.checks]
