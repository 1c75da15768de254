"""Muon's steps are nearly orthogonal; Adam has the rest."""

from __future__ import annotations

import pytest
import torch

from training.optimizers import NESTEROV, Muon, make_optimizers, orthogonal


@pytest.mark.parametrize("shape", [(1, 8, 72), (5, 16, 144), (2, 64, 576), (3, 8, 8)])
def test_orthogonal_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape) * 1e-3))
    assert float(values.min()) > (0.5 if shape[1] < shape[2] else 0.02)  # a square one may be nearly singular
    assert float(values.max()) < 1.25


def test_the_nearest_orthogonal_matrix_is_that_of_the_singular_vectors():
    torch.manual_seed(0)
    matrix = torch.randn(1, 16, 144)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    ours, nearest = orthogonal(matrix).flatten(), (u @ v).flatten()
    assert float(torch.nn.functional.cosine_similarity(ours, nearest, dim=0)) > 0.97


def test_the_length_of_a_gradient_does_not_matter():
    torch.manual_seed(0)
    matrix = torch.randn(2, 8, 72)
    torch.testing.assert_close(orthogonal(matrix), orthogonal(matrix * 1000), rtol=1e-4, atol=1e-5)


def test_no_gradient_is_no_step_and_no_division_by_zero():
    assert orthogonal(torch.zeros(1, 4, 36)).abs().max() == 0


def test_a_step_is_momentum_made_orthogonal_by_hand():
    torch.manual_seed(0)
    kernels = [torch.randn(4, 4, 3, 3, requires_grad=True) for _ in range(2)]
    optimizer = Muon(kernels, lr=0.1, weight_decay=0.5)
    wanted = [kernel.detach().clone() for kernel in kernels]
    momenta = [torch.zeros_like(kernel) for kernel in wanted]
    for _ in range(3):
        for number, kernel in enumerate(kernels):
            kernel.grad = torch.randn_like(kernel)
            momenta[number] = NESTEROV * momenta[number] + (1 - NESTEROV) * kernel.grad
            ahead = (1 - NESTEROV) * kernel.grad + NESTEROV * momenta[number]
            update = orthogonal(ahead.flatten(1)[None])[0].view_as(kernel)
            wanted[number] = wanted[number] * (1 - 0.1 * 0.5) - 0.1 * update
        optimizer.step()
    for ours, theirs in zip(kernels, wanted, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-4, atol=1e-5)


def test_a_kernel_without_a_gradient_stays():
    kernel = torch.ones(4, 4, 3, 3, requires_grad=True)
    Muon([kernel], lr=0.1).step()
    assert float(kernel.detach().sum()) == 4 * 4 * 9


def test_without_a_rate_for_kernels_adam_has_everything():
    network = torch.nn.Conv2d(8, 8, 3)
    (adam,) = make_optimizers(network, lr=1e-3, kernel_lr=0.0, weight_decay=0.0)
    assert sum(len(group["params"]) for group in adam.param_groups) == 2


def test_both_optimizers_carry_their_momentum_through_a_state_dict():
    torch.manual_seed(0)
    gradients = [torch.randn(8, 8, 3, 3) for _ in range(4)]

    def start():
        torch.manual_seed(1)
        network = torch.nn.Conv2d(8, 8, 3)
        return network, make_optimizers(network, lr=1e-2, kernel_lr=1e-2, weight_decay=0.01)

    def learn(network, optimizers, some):
        for gradient in some:
            network.weight.grad, network.bias.grad = gradient.clone(), gradient[:, 0, 0, 0].clone()
            for optimizer in optimizers:
                optimizer.step()

    straight = start()
    learn(*straight, gradients)
    first, second = start(), start()
    learn(*first, gradients[:2])
    second[0].load_state_dict(first[0].state_dict())
    for ours, theirs in zip(second[1], first[1], strict=True):
        ours.load_state_dict(theirs.state_dict())
    learn(*second, gradients[2:])
    assert torch.equal(second[0].weight, straight[0].weight)
    assert torch.equal(second[0].bias, straight[0].bias)
