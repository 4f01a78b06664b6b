"""Calais: the Windows smart-card system, in Python, for any machine."""

from __future__ import annotations

__version__ = "0.1.0"
