"""Values of a document that a model gave: cut to windows, merged, each placed where the document says it, and scored."""
