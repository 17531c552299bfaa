"""From a question to chunks."""
