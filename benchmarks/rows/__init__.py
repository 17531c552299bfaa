"""The comparisons of benchmarks/tuning.py, one file per kind of work."""
