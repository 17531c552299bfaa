"""The server: speaks OpenAI's dialect and typed routes, verifies every answer, records every call."""
