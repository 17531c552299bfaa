"""Made-up rows: what to ask for, and which of what came is kept. Nothing here calls a model."""
