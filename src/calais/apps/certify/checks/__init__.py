"""The checks, one chapter a module."""
