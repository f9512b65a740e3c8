"""Other people's figures of cost and speed, each row with its source, as they print them."""

from functools import cache
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent


@cache
def published_cost() -> pd.DataFrame:
    """Columns model, input_px, params_m (millions, 1000 classes), gmacs, source; one row a model and size."""
    return pd.read_csv(FOLDER / "cost.csv")


@cache
def published_speed() -> pd.DataFrame:
    """Columns model, mode, images_per_s, device (CPU or GPU), hardware, precision, memory_format, compiled,
    batch_size, input_px, source; settings are text, since sources say "largest that fits" or "not stated"."""
    text = ("precision", "memory_format", "compiled", "batch_size")
    return pd.read_csv(FOLDER / "speed.csv", dtype=dict.fromkeys(text, str), keep_default_na=False)
