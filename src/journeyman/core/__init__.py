"""Standard library only: errors, messages, ids, canonical JSON, settings."""
