"""What is timed is checked first: right shape, finite, and near to what fp32 gives."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.networks import find_card
from bench.profiling import network as benchmarked
from bench.profiling.config import AS_TRAINED, NetworkConfig, grid
from bench.profiling.network import BadOutput, check, prepare
from bench.profiling.processes import worker_job
from bench.profiling.worker import take
from bench.training.allocator import trained_allocator

SMALL = NetworkConfig("vit_digits", "infer", 2, 16, 10, "fp32", "contiguous", False, "cpu", 1)


class Odd(nn.Module):
    """Its outputs are `wrong` in half precision."""

    def __init__(self, wrong):
        super().__init__()
        self.layer, self.wrong = nn.Linear(3, 10), wrong

    def forward(self, images):
        found = self.layer(images.mean((2, 3)))
        return found if found.dtype == torch.float32 else self.wrong(found)


@pytest.fixture
def odd(monkeypatch):
    def use(wrong):
        torch.manual_seed(0)
        monkeypatch.setattr(benchmarked, "make_network", lambda setting: Odd(wrong).eval())

    return use


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_a_step_of_every_kind(mode, precision, memory_format):
    setting = replace(
        SMALL, model="resnet_digits", mode=mode, precision=precision, memory_format=memory_format
    )
    step, error = prepare(setting)
    assert 0 <= error <= benchmarked.TOLERANCE[precision]
    assert torch.isfinite(step()).all()


@pytest.mark.parametrize(
    ("model", "layout"), [("vit_digits", "contiguous"), ("resnet_digits", "channels_last")]
)
def test_a_training_step_is_that_of_a_plain_loop(model, layout):
    """Weights and losses after three steps, against a loop of torch: norms and biases are not decayed, the
    gradient's norm is clipped to 1, both as in the recipe `finetune`."""
    setting = replace(SMALL, model=model, mode="train", memory_format=layout)
    made = []
    with pytest.MonkeyPatch.context() as patched:
        make = benchmarked.make_network
        patched.setattr(benchmarked, "make_network", lambda s: made.append(make(s)) or made[0])
        step, _ = prepare(setting)
    network = benchmarked.make_network(setting).train()
    images = benchmarked.make_images(setting)
    labels = torch.randint(10, (2,), generator=torch.Generator().manual_seed(1))
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    if model == "vit_digits":
        vectors += [network.pos_embed, network.cls_token]
    matrices = [p for p in network.parameters() if all(p is not v for v in vectors)]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=benchmarked.LEARNING_RATE)
    losses = []
    for _ in range(3):
        loss = nn.CrossEntropyLoss()(network(images), labels)
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert [step().item(), step().item()] == pytest.approx(losses[1:], rel=1e-5)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(made[0].state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)
    at = max(made[0].parameters(), key=lambda p: p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1)
    assert at.is_contiguous(memory_format=benchmarked.FORMATS[layout])


def test_as_trained_is_what_a_trial_does(tmp_path, monkeypatch):
    """Layout and allocator of a real trial, noted while it trains, are those of the setting measured."""
    from bench.planning.plan import Resolver, trials_of
    from bench.running.engines.in_process import InProcess
    from bench.running.queue import Queue
    from bench.running.workspace import Workspace
    from bench.spec.suite import load_suite
    from bench.training import allocator, train_network
    from bench.training.observer import Silent

    seen = []
    keeping, trainer = allocator.keep_freed_memory, train_network.Trainer

    def noted(network, *arguments, **options):
        weights = [p for p in network.parameters() if p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1]
        last = all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
        seen.append((options["precision"], "channels_last" if last else "contiguous"))
        return trainer(network, *arguments, **options)

    monkeypatch.setattr(train_network, "Trainer", noted)
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: seen.append("keep_freed") or keeping())
    settings = ("comparison.shots=[2]", "comparison.replicates=1", "recipe.budget.epochs=1")
    suite = load_suite("quick", (*settings, "recipe.budget.min_steps=1", "recipe.val_times=1"))
    trials = [t for t in trials_of(suite) if t.contestant == suite.comparison[0].contestants[0]]
    trials += [t for t in trials_of(suite) if find_card(t.model).kind == "cnn"]
    workspace = Workspace(tmp_path, tmp_path, tmp_path / "results", "cpu")
    resolved = Resolver(tmp_path, tmp_path, None).resolve_strictly(trials[:1] + trials[-1:])
    outcomes = InProcess().run(Queue(resolved), workspace, lambda job: Silent())
    assert all(outcome.record for outcome in outcomes)
    for number, item in enumerate(resolved):
        (setting,) = grid(
            [item.trial.model], ["train"], [2], [16], [item.trial.precision], [AS_TRAINED], [False],
            classes=10, device="cpu", threads=1,
        )  # fmt: skip
        assert setting.as_trained and seen[2 * number] == setting.allocator
        assert seen[2 * number + 1] == (setting.precision, setting.memory_format)


def test_a_setting_that_differs_from_a_trial_in_anything_is_not_as_trained():
    (setting,) = grid(
        ["resnet_digits"], ["infer"], [2], [16], ["fp32"], [AS_TRAINED], [False],
        classes=10, device="cpu", threads=1,
    )  # fmt: skip
    assert setting.as_trained and setting.memory_format == "channels_last"
    other = {"memory_format": "contiguous", "allocator": "default", "compiled": True}
    other |= {"cudnn_benchmark": True, "precision": "tf32"}
    for name, value in other.items():
        assert not replace(setting, **{name: value}).as_trained, name
    assert replace(setting, batch_size=5, threads=3, input_size=32, precision="bf16").as_trained
    on_gpu = replace(setting, device="cuda", allocator="default", cudnn_benchmark=True)
    assert on_gpu.as_trained and not replace(on_gpu, cudnn_benchmark=False).as_trained


@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda x: x * torch.nan, "not all finite"),
        (lambda x: x + 10 * x.norm(), "away from those in fp32"),
        (lambda x: x[:, :5], "shape"),
    ],
)
def test_wrong_outputs_are_never_timed(odd, mode, wrong, word):
    odd(wrong)
    with pytest.raises(BadOutput, match=word):
        prepare(replace(SMALL, mode=mode, precision="bf16"))
    job = worker_job("speed", replace(SMALL, precision="bf16"), repeats=1, seconds=0.0)
    result = take(job | {"memory_limit": None})
    assert result["outcome"] == "failed" and word in result["reason"]


def test_outputs_that_are_not_finite_even_in_fp32():
    with pytest.raises(BadOutput, match="fp32"):
        check(torch.zeros(2, 10), torch.full((2, 10), torch.inf), SMALL)


def test_a_grid_is_every_combination_once():
    names = ["vit_digits", "resnet_digits"]
    found = grid(
        names, ["infer"], [1, 32, 1], [224], ["fp32", "bf16"], [AS_TRAINED, "contiguous"], [False, True],
        classes=10, device="cpu", threads=2, allocators=[AS_TRAINED, "default"],
    )  # fmt: skip
    # As trained a ViT is contiguous: it has one layout here, the CNN two.
    assert len(found) == len(set(found)) == (1 + 2) * 2 * 2 * 2 * 2
    layouts = {(s.model, s.memory_format) for s in found}
    assert layouts == {("vit_digits", "contiguous")} | {("resnet_digits", f) for f in benchmarked.FORMATS}
    assert {s.allocator for s in found} == {"default", trained_allocator("cpu")}
