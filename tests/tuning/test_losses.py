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


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 26])
def test_distillation_with_a_tail_equals_the_definition(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """KL over K + 1 outcomes: each of the teacher's best tokens, and all others together."""
    monkeypatch.setattr(losses, "CHUNK_BYTES", chunk_bytes)
    torch.manual_seed(0)
    hidden, head = torch.randn(40, 12, requires_grad=True), torch.randn(99, 12)
    targets, weights = torch.randint(0, 99, (40,)), torch.rand(40)
    ids = torch.stack([torch.randperm(99)[:4] for _ in range(40)])
    q = torch.softmax(torch.randn(40, 5), 1)[:, :4].clone()
    q[:7, 2:] = 0  # a teacher that gave two alternatives only
    q[7:9] = torch.tensor([1.0, 0, 0, 0])  # and one that was sure
    share = torch.where(torch.arange(40) % 5 == 0, 0.0, 0.7)
    ours = losses.soft_losses(hidden, head, targets, losses.SoftTargets(ids, q, share))
    (gradient,) = torch.autograd.grad((ours * weights).sum(), hidden)

    logp = F.log_softmax(hidden @ head.T, 1)
    held = logp.gather(1, ids)
    tail, mass = 1 - q.sum(1), (held.exp() * (q > 0)).sum(1)
    kl = (torch.xlogy(q, q) - q * held).sum(1) + torch.xlogy(tail, tail) - tail * torch.log(1 - mass)
    expected = share * kl + (1 - share) * F.cross_entropy(hidden @ head.T, targets, reduction="none")
    (theirs,) = torch.autograd.grad((expected * weights).sum(), hidden)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradient, theirs, atol=1e-5, rtol=1e-4)
