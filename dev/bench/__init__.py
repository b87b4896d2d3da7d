"""Measurements of the app, each beside a floor in the same run: `python -m dev.bench` (see docs/benchmarks.md)."""
