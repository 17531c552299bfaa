"""Where documents, their chunks and the chunks' vectors are kept: one SQLite file."""
