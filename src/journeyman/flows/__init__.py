"""The verbs as recipes: the only place where two engines meet."""
