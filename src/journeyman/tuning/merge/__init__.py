"""Merging models: mergekit's YAML in, a Hugging Face folder out, a tensor at a time."""
