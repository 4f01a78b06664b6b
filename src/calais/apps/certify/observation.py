"""What one looks at to tell whether two users of a card see the same; also run as another process.

``python -m calais.apps.certify.observation READER [HOME]`` prints the observation of the card in READER as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from calais.minidriver.api import Minidriver


def observe(driver: Minidriver) -> dict[str, Any]:
    """The card's identity, files and containers, as plain values."""
    stable = driver.identity().has_stable_names
    listed = driver.enum_files("mscp")
    return {
        "cardid": driver.read_file(None, "cardid").hex(),
        "cardcf": driver.read_file(None, "cardcf").hex(),
        "files": listed,
        "contents": {
            name: hashlib.sha256(driver.read_file("mscp", name)).hexdigest()
            for name in listed
            if stable or name != "cmapfile"
        },
        "containers": [
            [entry.index, entry.name if stable else "", entry.key_spec, entry.pin_id, entry.size_bits]
            for entry in driver.containers()
        ],
    }


def main(words: list[str]) -> None:
    """Print what is seen of the card in the reader ``words[0]`` of the system at home in ``words[1]``."""
    from calais.system import System  # noqa: PLC0415 - only the other process needs it

    with System.local(words[1] if len(words) > 1 else None) as system:
        print(json.dumps(system.reader(words[0]).run(observe)))  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main(sys.argv[1:])
