"""Where a quote or a value that a model gave stands in its source, and whether it stands there at all."""
