"""Anything that answers a list of messages, behind one protocol."""
