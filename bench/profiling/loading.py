"""Images per second of the data path alone: how fast a network would have to be to wait for it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.augment import Pipeline
from bench.profiling.config import LoadingConfig
from bench.profiling.jpegs import Preparation, batches, describe_jpegs, make_jpegs
from bench.profiling.speed import WARM_UP_LIMIT
from bench.profiling.system_load import SystemLoad
from bench.profiling.timing import sample, wall_clock, warm_up
from bench.spec.recipe import load_recipe
from bench.training.images import Images

# Images of the decoded cache, which has been read once when timing begins.
CACHED = 512
# Mean and standard deviation of ImageNet; which they are does not change the work.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECIPE = "finetune"


def measure_loading(config: LoadingConfig, *, repeats: int, seconds: float) -> dict[str, Any]:
    """Seconds of every batch, ready for a network on the device.

    "jpeg" decodes, scales, crops and normalises JPEG bytes, as evaluation of pictures does; "cache" takes
    random images of the decoded cache through crop, flip and normalisation, as training by the recipe
    `finetune` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        step, described = _jpeg(config) if config.path == "jpeg" else _cache(config, Path(folder))
        clock = wall_clock(step, config.device)
        steps, steady = warm_up(clock, seconds / 2, WARM_UP_LIMIT * seconds)
        load = SystemLoad()
        samples = sample(clock, repeats, seconds)
        return {
            "seconds": samples,
            "clock": "perf_counter" if config.device == "cpu" else "perf_counter, synchronised",
            "warm_up_steps": steps,
            "steady": steady,
            **described,
            **load.to_dict(),
        }


def _jpeg(config: LoadingConfig) -> tuple[Callable[[], torch.Tensor], dict[str, Any]]:
    prepare = Preparation(config.input_size, MEAN, STD, config.device, config.threads)
    files = make_jpegs()
    file_batches = batches(files, config.batch_size)
    return lambda: prepare.transform(prepare.decode(next(file_batches))), describe_jpegs(files)


def _cache(config: LoadingConfig, folder: Path) -> tuple[Callable[[], torch.Tensor], dict[str, Any]]:
    """The file is mapped from disk, as the cache of a dataset is."""
    augment = load_recipe(RECIPE).augment
    side = augment.stored_size(config.input_size)
    path = folder / "cache.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (CACHED, side, side, 3), dtype=np.uint8))
    images = Images(np.load(path, mmap_mode="r"), np.arange(CACHED), config.device)
    pipeline = Pipeline(augment, input_size=config.input_size, mean=MEAN, std=STD)
    generator, order = torch.Generator().manual_seed(0), np.random.default_rng(0)

    def step() -> torch.Tensor:
        return pipeline.train(images.batch(order.integers(0, CACHED, config.batch_size)), generator)

    return step, {}
