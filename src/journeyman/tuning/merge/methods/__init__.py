"""Merge methods, one per file. Each takes one tensor of every model and gives the merged one, in fp32.

To add one: a file with a ``Method``, and a line in ``METHODS``.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.tuning.merge.methods.arithmetic import DARE_LINEAR, DARE_TIES, TASK_ARITHMETIC, TIES
from journeyman.tuning.merge.methods.linear import LINEAR, PASSTHROUGH
from journeyman.tuning.merge.methods.method import Method
from journeyman.tuning.merge.methods.model_stock import MODEL_STOCK
from journeyman.tuning.merge.methods.slerp import SLERP

METHODS: Mapping[str, Method] = {
    "linear": LINEAR,
    "passthrough": PASSTHROUGH,
    "slerp": SLERP,
    "task_arithmetic": TASK_ARITHMETIC,
    "ties": TIES,
    "dare_linear": DARE_LINEAR,
    "dare_ties": DARE_TIES,
    "model_stock": MODEL_STOCK,
}
