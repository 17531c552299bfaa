"""The database: traces, examples, datasets, the ledger, aliases and jobs."""
