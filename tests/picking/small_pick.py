"""Small photos, and the names of small networks, for picks."""

import numpy as np
from PIL import Image

MODELS = ("vit_digits", "resnet_digits", "resnet_digits_small")
NAMES = ",".join(MODELS)
CLASSES = ("cat", "dog", "owl")


def fill(folder, per_class=110):
    random = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for image in range(per_class):
            pixels = random.integers(0, 120, (16, 16, 3), dtype=np.uint8)
            pixels[..., number] += 60
            Image.fromarray(pixels).save(folder / name / f"{image}.png")
    return folder
