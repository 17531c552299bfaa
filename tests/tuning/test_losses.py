from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from journeyman.tuning import losses


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 26])
def test_head_loss_and_gradient_equal_cross_entropy(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_BYTES", chunk_bytes)
    torch.manual_seed(0)
    hidden, head = torch.randn(50, 12, requires_grad=True), torch.randn(99, 12)
    targets, weights = torch.randint(0, 99, (50,)), torch.rand(50)
    loss = losses.cross_entropy(losses.token_logprobs(hidden, head, targets), weights)
    (ours,) = torch.autograd.grad(loss * 2.5, hidden)
    reference = (F.cross_entropy(hidden @ head.T, targets, reduction="none") * weights).sum()
    (theirs,) = torch.autograd.grad(reference * 2.5, hidden)
    torch.testing.assert_close(loss, reference, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
