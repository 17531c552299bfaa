"""Questions that documents answer, written by a model and checked against the text."""
