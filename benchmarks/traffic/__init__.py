"""Made traffic: calls from known templates, for `benchmarks/discover.py`."""
