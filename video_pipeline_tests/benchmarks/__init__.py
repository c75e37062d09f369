"""Tests of what benchmarks are made of; a benchmark itself is a script and not run here."""
