"""Profiles written by hand into a store: cost, speed, memory and scaling of made-up numbers.

Every number follows from the model's GMACs by a formula that a test can repeat; end-to-end and loading rows
are added as the tables have them.
"""

import json
from pathlib import Path

from bench.profiling.energy import SCOPE

CPU = {"device": "cpu", "machine": "Example CPU, 2 cores, 8 GiB", "threads": 2}
GPU = {"device": "Example GPU", "machine": "Example server", "threads": 8}
CARDS = {
    "vit_base_patch16_224": ("ViT-B/16", "ViT", 17.564, 86_567_656),
    "vit_large_patch32_224": ("ViT-L/32", "ViT", 15.378, 306_535_400),
    "deit_tiny_patch16_224": ("DeiT-Ti", "DeiT", 1.254, 5_717_416),
    "deit_small_patch16_224": ("DeiT-S", "DeiT", 4.599, 22_050_664),
    "deit_base_patch16_224": ("DeiT-B", "DeiT", 17.564, 86_567_656),
    "resnet18": ("ResNet-18", "ResNet", 1.814, 11_689_512),
    "resnet50": ("ResNet-50", "ResNet", 4.089, 25_557_032),
    "convnext_tiny": ("ConvNeXt-T", "ConvNeXt", 4.456, 28_589_128),
    "tf_efficientnet_lite0": ("EfficientNet-Lite0", "EfficientNet", 0.407, 4_652_008),
}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
PEAK = 1e11  # FLOP/s
BANDWIDTH = 2e10  # bytes/s
DECODE_MS, TRANSFORM_MS = 4.0, 3.0
WATTS, IDLE_WATTS = 300.0, 80.0


def images_per_s(gmacs: float, batch_size: int, speedup: float = 1.0) -> float:
    """Made-up throughput: saturating in the batch size."""
    return speedup * 40 / gmacs * batch_size / (batch_size + 1.5)


def peak_mib(gmacs: float, batch_size: int) -> float:
    """Made-up memory: weights and activations."""
    return 30 * gmacs + 12 * batch_size * gmacs**0.5


def as_trained(model: str, place: dict) -> dict:
    """How a model is trained: CNNs in channels last, on the CPU with freed memory kept."""
    on_cpu = place["device"] == "cpu"
    return {
        "memory_format": "contiguous" if "it_" in model else "channels_last",
        "allocator": "keep_freed" if on_cpu else "default",
        "cudnn_benchmark": not on_cpu,
        "compiled": False,
        "as_trained": True,
    }


def headlines(batch_sizes=BATCHES, modes=("infer",), classes=1000, scaling=None) -> list[dict]:
    """What a suite's listing says of the setting in which its models are compared."""
    same = {"input_size": 224, "classes": classes, "precision": "fp32", "batch_sizes": list(batch_sizes)}
    return [{"mode": mode, **same, "scaling_batch_size": scaling} for mode in modes]


def add_profiles(
    root: Path,
    models: list[str],
    *,
    place: dict | None = None,
    classes: int = 1000,
    speedup: float = 1.0,
    titles: dict[str, str] | None = None,
    fits: dict[str, int] | None = None,
    more: bool = False,
    modes: tuple[str, ...] = ("infer",),
    **changes,
) -> list[str]:
    """Write the profiles of `models` under `root`; returns the ids of those of cost and loading.

    Args:
        place: device, machine and threads.
        speedup: factor on all throughputs.
        fits: the largest batch that fits, of the models that run out of memory.
        more: whether there are energy, memory bandwidth, end-to-end and loading too.
        changes: what to replace in the records of speed.
    """
    place, ids = place or CPU, []
    for model in models:
        title, family, gmacs, params = CARDS[model]
        title = (titles or {}).get(model, title)
        base = {
            "format": 1,
            "kind": "profile",
            "model": model,
            "title": title,
            "family": family,
            "pretraining": "ImageNet-1k",
            "classes": classes,
            "versions": {"torch": "2.11.0"},
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "started": "2026-03-01T09:00:00+00:00",
            "finished": "2026-03-01T09:01:00+00:00",
        }
        flops = round(2e9 * gmacs)
        cost = _cost(model, flops)
        ids.append(f"{model}-cost-{classes}")
        _put(root, ids[-1], base | cost | {"what": "cost", "input_size": 224, "params": params})
        _put(root, f"{model}-scaling", base | {"what": "scaling"} | _scaling(model, flops, params))
        if more:
            ids += _add_more(root, base | place, model, images_per_s(gmacs, 1, speedup))
        limit = (fits or {}).get(model)
        for mode in modes:
            factor = 1.0 if mode == "infer" else 0.3
            for batch in BATCHES:
                setting = (
                    base
                    | place
                    | {
                        "mode": mode,
                        "precision": "fp32",
                        **as_trained(model, place),
                        "batch_size": batch,
                        "input_size": 224,
                    }
                )
                fate = {"outcome": "measured", "reason": None}
                if limit and batch > limit:
                    fate = {
                        "outcome": "out_of_memory",
                        "reason": f"out of memory; the largest batch that fits is {limit}",
                        "largest_batch": limit,
                    }
                speed = _speed(images_per_s(gmacs, batch, speedup * factor), batch, flops)
                memory = _memory(peak_mib(gmacs, batch) / factor, place)
                measured = fate["outcome"] == "measured"
                if more:
                    speed["memory_bandwidth"] = {"bytes_per_s": BANDWIDTH}
                name = f"{model}-{mode}-{batch}-{place['device'].replace(' ', '')}"
                _put(
                    root,
                    f"{name}-speed",
                    setting | {"what": "speed"} | (speed if measured else {}) | fate | changes,
                )
                _put(
                    root, f"{name}-memory", setting | {"what": "memory"} | (memory if measured else {}) | fate
                )
    return ids


def add_sizes(root: Path, models: list[str], sizes: tuple[int, ...] = (96, 160, 224, 320)) -> None:
    """Speed and memory of batch 4 at several input sizes, on the CPU."""
    for model in models:
        for kind in ("speed", "memory"):
            path = root / "profiles" / f"{model}-infer-4-cpu-{kind}" / "record.json"
            record = json.loads(path.read_text())
            for size in sizes:
                grown = (size / 224) ** 2
                changes = {"input_size": size, "images_per_s": record.get("images_per_s", 0) / grown}
                changes |= {"peak_rss_mib": record.get("peak_rss_mib", 0) * grown}
                _put(root, f"{model}-{size}-{kind}", record | changes)


def make_profiled_suite(
    root: Path, models: list[str], suite: str = "backbones", compared: dict | None = None, **options
) -> Path:
    """A store with one suite that trains nothing; `compared` are arguments of `headlines`."""
    modes = options.get("modes", ("infer",))
    ids = add_profiles(root, models, **options)
    listing = {
        "format": 1,
        "suite": suite,
        "title": "What backbones cost",
        "description": "Cost, speed and memory; nothing is trained.",
        "fingerprint": "f",
        "settings": [],
        "delta": 0.01,
        "headlines": headlines(**{"modes": modes, "scaling": 4} | (compared or {})),
        "contestants": {},
        "comparisons": [],
        "trials": [],
        "profiles": sorted(set(ids)),
    }
    _json(root / "store.json", {"format": 1})
    _json(root / "suites" / f"{suite}.json", listing)
    return root


def _add_more(root: Path, base: dict, model: str, rate: float) -> list[str]:
    """Batch 1 from JPEG to label, energy (of GPUs), and the data path alone; returns the ids of the last."""
    plain = {"mode": "infer", "precision": "fp32", **as_trained(model, base)}
    sure = {"samples": 30, "processes": 3, "unstable": False, "busy": False, "steady": True}
    at = base | plain | sure | {"batch_size": 1, "input_size": 224, "outcome": "measured", "reason": None}
    stages = {"decode": DECODE_MS, "transform": TRANSFORM_MS, "model": 1000 / rate}
    total = sum(stages.values())
    times = {f"{name}_ms": ms for name, ms in stages.items()}
    times |= {f"{name}_share": ms / total for name, ms in stages.items()}
    times |= {"images_per_s": 1000 / total, "latency_ms_median": total, "latency_ms_q1": 0.98 * total}
    times["model_images_per_s"] = rate
    times |= {"latency_ms_q3": 1.04 * total, "jpeg_px": "500x375", "jpeg_kib": 60.0}
    name = f"{model}-{base['device'].replace(' ', '')}"
    _put(root, f"{name}-end-to-end", at | times | {"what": "end_to_end"})
    if base["device"] != "cpu":
        spent = {"energy_j_per_image": WATTS / rate, "energy_net_j_per_image": (WATTS - IDLE_WATTS) / rate}
        _put(
            root,
            f"{name}-energy",
            at | spent | {"what": "energy", "energy_windows": 5, "energy_scope": SCOPE},
        )
    nobody = {key: value for key, value in at.items() if key not in ("model", "title", "family", "classes")}
    loading = []
    for path, speed in (("jpeg", 150.0), ("cache", 9000.0)):
        loaded = {
            "what": "loading",
            "path": path,
            "images_per_s": speed,
            "jpeg_px": "500x375",
            "batch_size": 32,
        }
        loading.append(f"loading-{path}-{base['device'].replace(' ', '')}")
        _put(root, loading[-1], nobody | loaded)
    return loading


def _cost(model: str, flops: int) -> dict:
    attends = "it_" in model
    matrices = flops // 12 if attends else 0
    head = 2_000_000
    rest = flops - matrices - head
    parts = dict.fromkeys(
        ("patch_embedding_or_stem", "attention_projections", "linear_and_1x1", "convolutions", "other"), 0
    )
    if attends:
        parts |= {"patch_embedding_or_stem": rest // 50, "attention_projections": rest // 3}
        parts["linear_and_1x1"] = rest - rest // 50 - rest // 3
    else:
        parts |= {"patch_embedding_or_stem": rest // 15, "convolutions": rest - rest // 15}
    return {
        "trainable_params": 0,
        "flops": flops,
        "gmacs": flops / 2e9,
        "gmacs_all": flops / 2e9 * 1.004,
        "flops_train_step": 3 * flops,
        "activations_m": 11.1,
        "counter": "fvcore 0.1.5",
        "by_part": parts | {"attention_matrices": matrices, "head": head},
        "elementwise": {"norms": 9_456_000, "softmax": 8_382_744, "pooling": 0},
    }


def _scaling(model: str, flops: int, params: int) -> dict:
    rows = []
    for size in SIZES:
        grown = (size / 224) ** 2
        attention = round(flops / 12 * grown**2) if "it_" in model else 0
        total = attention + round(flops * grown * (11 / 12 if attention else 1))
        rows.append(
            {
                "input_size": size,
                "tokens": (size // 16) ** 2 + 1 if attention else None,
                "params": params,
                "flops": total,
                "gmacs": total / 2e9,
                "attention_matrices_flops": attention,
                "attention_share": attention / total,
                "activations_m": 11.1 * grown,
                "counter": "fvcore 0.1.5",
            }
        )
    return {"rows": rows, "attention_outgrows_rest_px": 752 if "it_" in model else None}


def _speed(rate: float, batch: int, flops: int) -> dict:
    latency = 1000 * batch / rate
    return {
        "images_per_s": rate,
        "images_per_s_low": 0.97 * rate,
        "images_per_s_high": 1.03 * rate,
        "latency_ms_median": latency,
        "latency_ms_q1": 0.98 * latency,
        "latency_ms_q3": 1.05 * latency,
        "samples": 30,
        "processes": 3,
        "unstable": False,
        "busy": False,
        "steady": True,
        "other_cores": 0.1,
        "fraction_of_matmul_peak": rate * flops / PEAK,
        "matmul_peak": {"flops_per_s": PEAK, "shape": [8, 8, 8]},
        "best": None,
    }


def _memory(mib: float, place: dict) -> dict:
    if place["device"] == "cpu":
        return {"peak_rss_mib": mib, "baseline_mib": 400.0, "resting_mib": mib / 2, "processes": 1}
    return {"peak_allocated_mib": mib, "peak_reserved_mib": 1.1 * mib, "processes": 1}


def _put(root: Path, name: str, record: dict) -> None:
    _json(root / "profiles" / name / "record.json", record | {"id": name})


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
