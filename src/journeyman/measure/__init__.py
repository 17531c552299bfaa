"""Metrics, intervals, paired tests, power."""
