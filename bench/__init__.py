"""Benchmarks: what operations cost in exchanges and bytes, and in time as a ratio to a primitive or a peer."""
