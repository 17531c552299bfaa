"""The schema's revisions, run by ``store.schema``."""
