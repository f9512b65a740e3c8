"""Flowers102: the official split on the real files, and everything else on a small copy of the layout."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import Flowers102

from bench.data import dataset_facts, open_dataset
from bench.data.datasets import flowers102
from bench.data.fetch import fetch
from bench.data.verify import verify
from bench.errors import DataError


@pytest.fixture(scope="module")
def opened(real_data):
    return open_dataset("flowers102", None, real_data)


def test_official_split(opened, real_data):
    assert opened.split_id == "official"
    assert opened.counts() == dataset_facts()["flowers102"].splits["official"]
    for split in ("train", "val", "test"):
        theirs = Flowers102(real_data, split=split)
        positions = opened.splits[split]
        assert opened.labels[positions].tolist() == theirs._labels
        assert [opened.source(i) for i in positions] == [str(path) for path in theirs._image_files]
        np.testing.assert_array_equal(opened.read(positions[5]), np.asarray(theirs[5][0]))
    assert np.bincount(opened.split_labels("train")).tolist() == [10] * 102
    assert opened.class_names == Flowers102.classes
    assert opened.native_size is None and opened.duplicates is None


def test_trainval(opened, real_data):
    joined = open_dataset("flowers102", "official-trainval", real_data)
    assert joined.counts() == {"train": 2040, "val": 0, "test": 6149}
    assert joined.splits["train"].tolist() == [*opened.splits["train"], *opened.splits["val"]]
    assert joined.splits["test"].tolist() == opened.splits["test"].tolist()
    assert joined.fingerprint == opened.fingerprint


def test_missing_images_are_counted_and_named(real_data, tmp_path):
    folder = tmp_path / "flowers-102"
    with pytest.raises(DataError, match="flowers-102 is missing; get it with: vcbench data fetch flowers102"):
        open_dataset("flowers102", None, tmp_path)
    folder.mkdir()
    (folder / "setid.mat").symlink_to(real_data.absolute() / "flowers-102" / "setid.mat")
    (folder / "imagelabels.mat").write_bytes(b"not what it should be")
    with pytest.raises(DataError, match=r"imagelabels.mat damaged \(not the official md5\) under"):
        open_dataset("flowers102", None, tmp_path)
    (folder / "imagelabels.mat").unlink()
    (folder / "imagelabels.mat").symlink_to(real_data.absolute() / "flowers-102" / "imagelabels.mat")
    with pytest.raises(DataError, match="8189 of 8189 images are missing"):
        open_dataset("flowers102", None, tmp_path)
    (folder / "jpg").mkdir()
    for number in range(1, 8190):
        if not 17 <= number < 329:
            (folder / "jpg" / f"image_{number:05d}.jpg").touch()
    with pytest.raises(
        DataError, match=r"312 of 8189 images are missing under .* \(first: image_00017.jpg\)"
    ):
        open_dataset("flowers102", None, tmp_path)


@pytest.fixture
def small(tmp_path, monkeypatch, serve):
    """An official place with ten flowers, served on this machine; returns it and an empty data directory."""
    from scipy.io import savemat

    source, data_dir = tmp_path / "official", tmp_path / "data"
    source.mkdir()
    savemat(source / "imagelabels.mat", {"labels": np.arange(10) % 2 + 1})
    savemat(source / "setid.mat", {"trnid": [1, 2], "valid": [3, 4], "tstid": [5, 6, 7, 8, 9, 10]})
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(str(tmp_path).encode()).digest()[:4]))
    with tarfile.open(source / "102flowers.tgz", "w:gz") as tar:
        for number in range(1, 11):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(buffer, "JPEG")
            info = tarfile.TarInfo(f"jpg/image_{number:05d}.jpg")
            info.size = buffer.tell()
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
    md5s = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in source.iterdir()}
    files = {key: (name, md5s[name]) for key, (name, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", files)
    monkeypatch.setattr(Flowers102, "_download_url_prefix", f"{serve(source)}/")
    monkeypatch.setattr(flowers102, "IMAGES", 10)
    return source, data_dir


def test_fetched_copy_is_verified(small):
    _, data_dir = small
    seen = []
    report = fetch("flowers102", data_dir, progress=lambda done, total: seen.append((done, total)))
    assert report["problems"] == [] and report["copy"] == "verified"
    assert report["counts"]["official"] == {"train": 2, "val": 2, "test": 6}
    assert report["counts"]["official-trainval"] == {"train": 4, "val": 0, "test": 6}
    assert seen[-1] == (10, 10)
    # The receipt is for these files: it holds without the archive, and not for others.
    (data_dir / "flowers-102" / "102flowers.tgz").unlink()
    assert open_dataset("flowers102", None, data_dir).copy == "verified"
    Image.new("RGB", (16, 20)).save(data_dir / "flowers-102" / "jpg" / "image_00004.jpg")
    assert open_dataset("flowers102", None, data_dir).copy == "copy not verified"


def test_half_unpacked_copy_is_completed(small):
    _, data_dir = small
    fetch("flowers102", data_dir)
    for number in (3, 7):
        (data_dir / "flowers-102" / "jpg" / f"image_{number:05d}.jpg").unlink()
    assert flowers102.missing_images(data_dir) == ["image_00003.jpg", "image_00007.jpg"]
    assert fetch("flowers102", data_dir)["problems"] == []


def test_verify_names_what_is_damaged_or_differs(small):
    _, data_dir = small
    fetch("flowers102", data_dir)
    jpg = data_dir / "flowers-102" / "jpg"
    (jpg / "image_00002.jpg").write_bytes((jpg / "image_00002.jpg").read_bytes()[:300])
    (jpg / "image_00009.jpg").write_bytes(b"")
    Image.new("RGB", (16, 20)).save(jpg / "image_00005.jpg")
    report = verify("flowers102", data_dir)
    assert report["copy"] == "copy not verified"
    undecodable = [line for line in report["problems"] if "cannot be decoded" in line]
    differing = [line for line in report["problems"] if "differs from the image in 102flowers.tgz" in line]
    assert [line.split(":")[0][-15:] for line in undecodable] == ["image_00002.jpg", "image_00009.jpg"]
    assert len(differing) == 3
    (data_dir / "flowers-102" / "102flowers.tgz").write_bytes(b"half of it")
    assert any("official md5" in line for line in verify("flowers102", data_dir)["problems"])
