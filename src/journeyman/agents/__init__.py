"""Tasks with tools in a bounded loop."""
