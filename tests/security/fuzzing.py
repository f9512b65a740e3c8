"""How much is tried: little in CI, always the same; with VCBENCH_FUZZ=20000 so many, at random."""

import io
import json
import os

import pyarrow as pa
import pyarrow.parquet
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("VCBENCH_FUZZ", "0"))
ALL = (Phase.explicit, Phase.generate, Phase.shrink)

WRONG = [
    None, True, False, -1, 0, 1, 2.5, -0.0, 1e308, 2**31, 2**63, 10**30, "", "x", "../../x", "/etc/passwd",
    "a\nb", "\x00\x1b\u202e", "=1+1", "<b>", "\\input{x}", "a" * 300, [], [[]], ["x"], [1, 2], {}, {"x": 1},
    {"x": {}}, [None], [{}], float("nan"), float("inf"),
]  # fmt: skip
"""What is put in place of a value."""


def fuzz(ci):
    """Settings of a test: so many examples in CI."""
    return settings(
        max_examples=EXAMPLES or ci,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=ALL if EXAMPLES else (Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def places(value, path=()):
    """Every place in plain data, as the keys that lead to it."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(value, path, new):
    """Plain data with another value at a place."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


@st.composite
def changed_data(draw, value):
    """Plain data in which one to three values are something else."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(places(value), key=str)))
        new = draw(st.sampled_from(WRONG))
        value = changed(value, path, new) if path else value
    return value


@st.composite
def changed_bytes(draw, content):
    """Bytes of which some are others, missing or twice."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        length = draw(st.integers(0, 8))
        how = draw(st.sampled_from(("replace", "insert", "cut", "twice", "large")))
        if how == "cut":
            del made[at : at + length if draw(st.booleans()) else None]
        elif how == "twice":
            made[at:at] = made[at : at + 40]
        elif how == "large":
            made[at : at + 4] = b"\xff\xff\xff\x7f"
        else:
            made[at : at + (length if how == "replace" else 0)] = draw(st.binary(min_size=length, max_size=8))
    return bytes(made)


COLUMNS = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-2, 12)), min_size=40, max_size=40),
    st.lists(st.floats(allow_nan=True, width=16), min_size=40, max_size=40),
    st.lists(st.sampled_from(["", "class 1", "0", "\ud7ff\x1b", "x" * 300]), min_size=40, max_size=40),
    st.lists(st.booleans(), min_size=40, max_size=40),
    st.lists(st.lists(st.floats(0, 1), max_size=10), min_size=40, max_size=40),
    st.just([b"\xff"] * 40),
    st.just([{"a": 1}] * 40),
    st.just([None] * 40),
)


@st.composite
def tables(draw, names):
    """The bytes of a Parquet file with some of these columns, of all kinds."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    rows = draw(st.sampled_from((40, 40, 40, 39, 0)))
    columns = {name: draw(COLUMNS)[:rows] for name in chosen}
    table = pa.table(columns)
    if draw(st.booleans()):
        said = draw(st.sampled_from((b"", b"{", b"[]", b'{"index_columns": ["x"], "columns": [{}]}')))
        table = table.replace_schema_metadata({b"pandas": said})
    file = io.BytesIO()
    pa.parquet.write_table(table, file)
    return file.getvalue()
