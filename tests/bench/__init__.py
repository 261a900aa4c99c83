"""Benchmarks: `python -m tests.bench [NAME ...] [--json] [--quick]`.

Each plain module in here is one: `run(quick)` measures and returns its figures. It is called in a
process of its own, with Django set up on a migrated DATA_DIR that is gone afterwards.
"""
