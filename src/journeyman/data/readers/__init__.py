"""Formats of other tools: one module for each, with ``matches`` and ``read``; ``unfold`` where one document holds several rows."""
