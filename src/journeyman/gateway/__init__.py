"""The server: records, verifies, answers from students and teachers."""
