"""Files that promise more than they hold: refused with one line, before memory is taken for it."""

import json
import struct
import tracemalloc
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from small_store import write_store

from bench import files
from bench.data.images import read_image
from bench.errors import BenchError, DataError, InputError, StoreError, WeightsError
from bench.networks.weight_file import read_shapes, read_tensors
from bench.spec.card import Card
from bench.spec.toml import load_toml
from bench.store.parquet import read_parquet
from bench.store.run_store import RunStore


@pytest.fixture(autouse=True)
def _in_little_memory():
    tracemalloc.start()
    yield
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100e6, f"{most / 1e6:.0f} MB"


def png(width, height):
    """A PNG of a few bytes whose header promises so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def pgm(width, height):
    return f"P5 {width} {height} 255\n".encode() + bytes(100)


def bmp(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + header + bytes(100)


def gif(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + bytes(4) + bytes(100)


@pytest.mark.parametrize("make", [png, pgm, bmp, gif])
def test_an_image_of_too_many_pixels(tmp_path, make):
    (tmp_path / "a.png").write_bytes(make(60_000, 60_000))
    with pytest.raises(DataError, match=r"a\.png: .*pixels") as refused:
        read_image(tmp_path / "a.png")
    assert "\n" not in str(refused.value)


def safetensors(header, size=None, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


F32 = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}


@pytest.mark.parametrize(
    "content",
    [
        safetensors(b"{}", 2**62),
        safetensors({"a": F32}),
        safetensors({"a": F32 | {"data_offsets": [0, 4]}}, data=bytes(4)),
        safetensors({"a": F32 | {"shape": [2**63, 2**63]}}),
        safetensors({"a": F32 | {"shape": [-1], "data_offsets": [4, 0]}}, data=bytes(4)),
        safetensors(b"[" * 100_000),
        b"",
    ],
    ids=["length", "tensor", "offsets", "overflow", "negative", "deep", "empty"],
)
def test_weights_whose_header_exceeds_the_file(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for read in (read_shapes, read_tensors):
        with pytest.raises(WeightsError, match=r"a\.safetensors: "):
            read(path)


@pytest.fixture
def store(tmp_path):
    """A store of one trial."""
    return RunStore(write_store(tmp_path / "store", {("vit", 5): np.ones((1, 40), bool)}))


@pytest.mark.parametrize("descr", ["<f2", "|O"])
def test_probabilities_whose_header_exceeds_the_file(store, descr):
    run = store.names("runs")[0]
    path = store.evaluation_files(run).probabilities
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({10**12}, 100), }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(100))
    with pytest.raises(StoreError, match=r"probabilities\.npy: cannot be read"):
        store.probabilities(run)
    np.savez(path.with_suffix(".npz"), np.ones(3))
    path.with_suffix(".npz").replace(path)
    with pytest.raises(StoreError, match=r"probabilities\.npy: cannot be read"):
        store.probabilities(run)


def test_a_table_of_too_many_rows_or_too_large_a_page(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"a": np.zeros(5000, np.int8)}), path)
    assert path.stat().st_size < 1000
    assert len(read_parquet(path, path.read_bytes(), most=5000)) == 5000
    with pytest.raises(StoreError, match=r"a\.parquet: .* 5000 values"):
        read_parquet(path, path.read_bytes(), most=4999)
    pa.parquet.write_table(pa.table({"a": ["x" * 1_000_000]}), path, compression="zstd")
    assert path.stat().st_size < 5000
    with pytest.raises(StoreError, match=r"a\.parquet: .* bytes"):
        read_parquet(path, path.read_bytes(), most=5000)


DOTS = ".".join(["a"] * 200)


@pytest.mark.parametrize(
    "text",
    ["a." * 50_000 + "b = 1", f"{DOTS} = 1", "a = " + "[" * 50_000, "#" * (2**18 + 1)],
    ids=["long key", "deep", "brackets", "large"],
)
def test_deep_and_large_toml(tmp_path, text):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=r"a\.toml: "):
        load_toml(tmp_path / "a.toml", Card)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 50_000, "1" * 10_000, " " * 5000 + "1"])
def test_deep_and_large_json(tmp_path, monkeypatch, text):
    monkeypatch.setattr(files, "LARGEST_JSON", 1000 if text.startswith(" ") else 10**6)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BenchError, match=r"a\.json: "):
        files.read_json(tmp_path / "a.json")
