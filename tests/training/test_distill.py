"""Learning from a teacher: losses and images beside numpy, timm's tasks and a plain loop."""

import numpy as np
import pytest
import timm
import torch
from scipy.special import log_softmax, softmax
from timm.task import LogitDistillationTask, TokenDistillationTask
from torch import nn

from bench.data.augment import Pipeline
from bench.spec.recipe import Augment, Distill, Recipe, load_recipe
from bench.training.evaluate import both_heads
from bench.training.loss import loss_of
from bench.training.step import TrainingStep
from bench.training.teacher import Teacher

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
STUDENT = "deit_tiny_distilled_patch16_224"
SMALL = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 3, "num_classes": 4}


def recipe(**distill) -> Recipe:
    return load_recipe("scratch").model_copy(update={"distill": Distill(**distill)})


def pipeline(**normalisation) -> Pipeline:
    return Pipeline(Augment(crop_pct=1.0), input_size=16, **normalisation)


def teacher() -> nn.Module:
    """A small CNN whose running statistics are not those of its batch."""
    torch.manual_seed(1)
    network = timm.create_model("resnet18", channels=[4, 4, 4, 4], num_classes=4).train()
    with torch.no_grad():
        for _ in range(3):
            network(2 * torch.randn(8, 3, 16, 16) + 1)
    return network


def student(architecture: str = STUDENT) -> nn.Module:
    torch.manual_seed(2)
    return timm.create_model(architecture, **SMALL)


@pytest.mark.parametrize("kind, heat", [("hard", 1.0), ("soft", 1.0), ("soft", 3.0)])
@pytest.mark.parametrize("by", ["token", "class"])
def test_the_loss_is_that_of_numpy(kind, heat, by):
    rng = np.random.default_rng(0)
    labelled, followed, taught = rng.normal(size=(3, 6, 4)).astype(np.float32)
    targets = rng.dirichlet(np.ones(4), 6).astype(np.float32)
    if by == "class":
        followed = labelled
    loss = loss_of(
        recipe(kind=kind, temperature=heat, weight=0.3, by=by), 4, lambda images: torch.from_numpy(taught)
    )
    outputs = tuple(map(torch.from_numpy, (labelled, followed)))
    given = loss(outputs if by == "token" else outputs[0], torch.from_numpy(targets), torch.zeros(6, 3, 2, 2))

    labels = -(targets * log_softmax(labelled, 1)).sum(1).mean()
    if kind == "hard":
        distance = -log_softmax(followed, 1)[np.arange(6), taught.argmax(1)].mean()
    else:
        wanted = softmax(taught / heat, 1)
        distance = heat**2 * (wanted * (np.log(wanted) - log_softmax(followed / heat, 1))).sum(1).mean()
    assert float(given) == pytest.approx(0.7 * labels + 0.3 * distance, rel=1e-5)


@pytest.mark.parametrize("kind, heat", [("hard", 1.0), ("soft", 3.0)])
def test_a_step_with_a_token_is_that_of_timms_task(kind, heat):
    """Timm's task does the same to the same networks, from normalisation to gradients."""
    ours, theirs, teaching = student(), student(), teacher()
    for network, normalisation in ((theirs, HALF), (teaching, IMAGENET)):
        network.pretrained_cfg = {**network.pretrained_cfg, **normalisation}
    task = TokenDistillationTask(
        theirs, teaching, nn.CrossEntropyLoss(), distill_type=kind, task_loss_weight=0.7, temperature=heat,
        verbose=False,
    )  # fmt: skip
    _same_gradients(ours, theirs, task.train(), teaching, recipe(kind=kind, temperature=heat, weight=0.3))


def test_a_step_without_a_token_is_that_of_timms_task():
    ours, theirs, teaching = (*(student("vit_tiny_patch16_224") for _ in range(2)), teacher())
    for network, normalisation in ((theirs, HALF), (teaching, IMAGENET)):
        network.pretrained_cfg = {**network.pretrained_cfg, **normalisation}
    task = LogitDistillationTask(
        theirs, teaching, nn.CrossEntropyLoss(), task_loss_weight=0.7, temperature=2.0, verbose=False
    )
    wanted = recipe(kind="soft", temperature=2.0, weight=0.3, by="class")
    _same_gradients(ours, theirs, task.train(), teaching, wanted)


def _same_gradients(ours, theirs, task, teaching, wanted):
    images, labels = torch.randn(6, 3, 16, 16), torch.arange(6) % 4
    if wanted.distill.by == "token":
        ours.set_distilled_training(True)
    says = Teacher(teaching, own=pipeline(**IMAGENET), student=pipeline(**HALF), precision="fp32")
    step = TrainingStep(
        ours,
        torch.optim.SGD(ours.parameters(), lr=0.0),
        loss_of(wanted, 4, says),
        precision="fp32",
        clip_grad=None,
    )
    loss = step(images, labels)
    expected = task(images, labels)["loss"]
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-4, msg=name)
    assert all(parameter.grad is None for parameter in teaching.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_teacher_says_of_an_image_what_it_says_alone(precision):
    """Whatever its student takes out of the pixels; its running statistics and its mode stay as they are."""
    network, stored = teacher(), torch.randint(256, (5, 16, 16, 3), dtype=torch.uint8)
    says = Teacher(network, own=pipeline(**IMAGENET), student=pipeline(**HALF), precision=precision)
    given = says(pipeline(**HALF).evaluate(stored))
    plain = teacher().eval()
    mean, std = (torch.tensor(IMAGENET[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        alone = plain((stored.permute(0, 3, 1, 2) / 255 - mean) / std).float()
    torch.testing.assert_close(given, alone, atol=1e-5 if precision == "fp32" else 0.03, rtol=0)
    assert not given.requires_grad and given.dtype == torch.float32
    assert not network.training
    for name, value in plain.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name


def test_the_same_normalisation_leaves_images_as_they_are():
    seen = []
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.randn(2, 3, 16, 16)
    Teacher(network, own=pipeline(**IMAGENET), student=pipeline(**IMAGENET), precision="fp32")(images)
    assert torch.equal(seen[0], images)


def test_both_heads_are_those_that_are_averaged():
    network, images = student().eval(), torch.randn(3, 3, 16, 16)
    network.head_dist.bias.data += 1.0
    with torch.no_grad():
        together, one, other = both_heads(network, images).unbind(1)
        tokens = network.forward_features(images)
        assert torch.equal(together, network(images))
        torch.testing.assert_close(one, network.head(tokens[:, 0]))
        torch.testing.assert_close(other, network.head_dist(tokens[:, 1]))
    torch.testing.assert_close(together, (one + other) / 2)


def test_a_recipe_that_distils_needs_a_teacher():
    with pytest.raises(ValueError, match="needs a teacher"):
        loss_of(recipe(), 4, None)
