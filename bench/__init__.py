"""Measurements, with the floors of the same run beside them: `python -m bench --help`, docs/performance.md."""
