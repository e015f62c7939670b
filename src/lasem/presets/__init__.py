"""Benchmark files and learner entries that compose into experiments."""
