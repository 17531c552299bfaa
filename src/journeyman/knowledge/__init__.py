"""Documents, chunked and indexed for retrieval."""
