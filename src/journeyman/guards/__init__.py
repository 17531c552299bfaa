"""Detectors and redaction."""
