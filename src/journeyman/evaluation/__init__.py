"""Paired scores, the gate and its report."""
