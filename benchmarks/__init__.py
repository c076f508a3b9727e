"""Benchmarks: timed on request, run untimed by the tests so that they do not rot."""
