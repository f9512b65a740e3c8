"""Parameter groups."""

import pytest
import torch

from bench.networks import find_card, make_model, resolve_weights
from bench.spec.recipe import Optimizer
from bench.training.optimizer import make_optimizer, set_rate


def network(name, tmp_path):
    card = find_card(name)
    return make_model(
        card, resolve_weights(card, "none", tmp_path, download=False), classes=10, input_size=card.input_size
    )


@pytest.mark.parametrize("model", ["vit_digits", "resnet_digits"])
def test_only_weight_matrices_and_kernels_are_decayed(model, tmp_path):
    net = network(model, tmp_path)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    optimizer = make_optimizer(net, Optimizer(lr=1e-3, weight_decay=0.05))
    decay = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert set(decay) == set(names.values())
    for name, value in decay.items():
        parameter = dict(net.named_parameters())[name]
        plain = parameter.ndim >= 2 and not any(word in name for word in ("pos_embed", "cls_token"))
        assert value == (0.05 if plain else 0.0), name


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_fused_and_rates_reach_every_group(name, tmp_path):
    optimizer = make_optimizer(network("vit_digits", tmp_path), Optimizer(name=name, lr=1e-3))
    set_rate(optimizer, 0.25, 0.5)
    for group in optimizer.param_groups:
        assert group["fused"] and group["lr"] == 0.25
        assert (group["betas"][0] if "betas" in group else group["momentum"]) == 0.5


def test_adamw_takes_the_step_of_the_paper():
    weight = torch.nn.Linear(3, 2, bias=False)
    before = weight.weight.detach().double().clone()
    optimizer = make_optimizer(weight, Optimizer(lr=0.1, weight_decay=0.2))
    gradient = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    weight.weight.grad = gradient.clone()
    optimizer.step()
    # After one step both bias-corrected moments are those of the gradient itself.
    expected = before * (1 - 0.1 * 0.2) - 0.1 * gradient.double() / (gradient.double().abs() + 1e-8)
    torch.testing.assert_close(weight.weight.detach().double(), expected, atol=1e-6, rtol=1e-5)


def test_sgd_takes_nesterovs_steps():
    """The momentum is added to the gradient of the step itself; decay is part of the gradient."""
    layer = torch.nn.Linear(3, 2, bias=False)
    weight = layer.weight.detach().double().clone()
    optimizer = make_optimizer(layer, Optimizer(name="sgd", lr=0.1, weight_decay=0.2, momentum=0.8))
    velocity = torch.zeros_like(weight)
    for step in range(3):
        gradient = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]]) * (step + 1)
        layer.weight.grad = gradient.clone()
        optimizer.step()
        decayed = gradient.double() + 0.2 * weight
        velocity = 0.8 * velocity + decayed
        weight -= 0.1 * (decayed + 0.8 * velocity)
    torch.testing.assert_close(layer.weight.detach().double(), weight, atol=1e-5, rtol=1e-5)


def test_sgd_without_momentum_is_plain():
    network = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(network, Optimizer(name="sgd", lr=0.1, weight_decay=0.0, momentum=0.0))
    before = network.weight.detach().clone()
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(network.weight, before - 0.1 * torch.ones(2, 2))
