"""Replace a prompt on a large model with a small model of your own, and prove that it is as good."""

__version__ = "0.1.0"
