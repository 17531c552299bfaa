"""Which prompts recorded calls have in common, without a task that says so."""
