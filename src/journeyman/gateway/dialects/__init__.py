"""Wire formats: each reads a request into a ``Call`` and writes an ``Answer`` back."""
