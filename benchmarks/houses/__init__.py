"""Simulated houses for `benchmarks/learning.py`: their worlds, their days, and what is measured of them."""
