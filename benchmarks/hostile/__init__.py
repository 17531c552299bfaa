"""What can go wrong around the gateway, made to go wrong: one module for each kind of fault, all of them run by `benchmarks/faults.py`."""
