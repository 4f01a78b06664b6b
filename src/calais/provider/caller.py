"""Who wants a key, and how a person may be asked for its PIN."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Face(StrEnum):
    """Through which interface a key is used; with ``pin.separate_caches`` each remembers its own PINs."""

    PYTHON = "python"
    CRYPTOAPI = "cryptoapi"
    CNG = "cng"


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller.

    ``silent``: nobody may be asked (CRYPT_SILENT); ``window``: parent window for prompts (PP_CLIENT_HWND); ``text``:
    what the prompt says besides (PP_PIN_PROMPT_STRING, Use Context).
    """

    face: Face = Face.PYTHON
    silent: bool = False
    window: int | None = None
    text: str = ""
