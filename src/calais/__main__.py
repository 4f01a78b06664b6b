"""``python -m calais``."""

from __future__ import annotations

import sys

from calais.cli import main

if __name__ == "__main__":
    sys.exit(main())
