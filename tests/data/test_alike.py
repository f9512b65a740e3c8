"""Images that are there more than once, byte by byte or nearly."""

import csv
import io
import itertools

import numpy as np
import pytest
from console import told, vcbench
from PIL import Image

from bench.data import open_dataset
from bench.data.alike import BITS, difference_hashes, find_alike, grey_levels, near_pairs
from bench.errors import InputError
from bench.files import cache_dir


def picture(seed, side=96):
    """Patches of random colours, smoothly joined."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    """Two classes; of train there is in test an equal picture as another file, a scaled and a darker one."""
    root = tmp_path / "photos"
    for split, start in (("train", 0), ("test", 100)):
        for label, name in enumerate(("cat", "dog")):
            (root / split / name).mkdir(parents=True)
            for i in range(6):
                picture(start + 10 * label + i).save(root / split / name / f"{i}.png")
    picture(0).save(root / "test/cat/a.bmp")
    picture(1).resize((50, 50)).save(root / "test/cat/b.jpg", quality=60)
    Image.eval(picture(12), lambda level: int(level * 0.8)).save(root / "test/cat/c.png")
    for folder in ("train/cat", "test/cat", "test/dog"):
        Image.new("RGB", (40, 40), (len(folder), 200, 9)).save(root / folder / "flat.png")
    return root


def opened(root):
    return open_dataset(f"folder:{root}", None, root)


def test_copies_are_found_and_nothing_else(photos):
    dataset = opened(photos)
    alike = find_alike(dataset)
    pairs = {tuple(dataset.file(i) for i in pair) for pair in alike.pairs.tolist()}
    assert pairs == {
        ("train/cat/0.png", "test/cat/a.bmp"),
        ("train/cat/1.png", "test/cat/b.jpg"),
        ("train/dog/2.png", "test/cat/c.png"),
        ("test/cat/flat.png", "test/dog/flat.png"),
    }
    assert sorted(alike.distance.tolist())[:2] == [-1, -1] and min(alike.distance[alike.distance >= 0]) >= 0
    assert alike.count(dataset.splits["test"], dataset.splits["train"]) == 3
    words = "\n".join(alike.in_words(dataset))
    assert "3 of 17 test images have equal pixels or a near duplicate in train" in words
    assert "4 images are so alike to one of another class" in words


def test_what_is_known_is_kept_and_made_anew_where_damaged(photos, monkeypatch):
    first = find_alike(opened(photos))
    (kept,) = (cache_dir() / "alike").glob(f"*{opened(photos).fingerprint}.npy")
    for content in (b"", b"no array", kept.read_bytes()[:-1]):
        kept.write_bytes(content)
        assert find_alike(opened(photos)).pairs.tolist() == first.pairs.tolist()
    monkeypatch.setattr("bench.data.alike.grey_levels", None)  # never asked again
    assert find_alike(opened(photos)).pairs.tolist() == first.pairs.tolist()
    with pytest.raises(InputError, match="--distance 8: should be 0 to 7"):
        find_alike(opened(photos), 8)


def test_many_copies_are_not_paired_each_with_each(photos):
    for i in range(150):
        Image.new("RGB", (40, 40), (1, 2, 3)).save(photos / "train/dog" / f"none{i}.png")
    Image.new("RGB", (40, 40), (1, 2, 3)).save(photos / "test/cat/none.png")
    dataset = opened(photos)
    alike = find_alike(dataset)
    assert 150 <= len(alike.pairs) < 400
    assert alike.count(dataset.splits["train"], dataset.splits["test"]) == 3 + 150
    none = [i for i in range(len(dataset.labels)) if "none" in dataset.file(i)]
    assert len(none) == 151 and len(set(alike.groups(dataset)[none].tolist())) == 1


@pytest.mark.parametrize("distance", [0, 3, 7])
def test_no_pair_of_near_hashes_is_missed(distance):
    rng = np.random.default_rng(distance)
    bits = rng.integers(0, 2, (40, BITS), dtype=np.uint8)
    bits = np.concatenate([bits] * 4)
    for row in bits[40:]:
        row[rng.choice(BITS, rng.integers(0, 9), replace=False)] ^= 1
    hashes = np.unique(np.packbits(bits, axis=1), axis=0)
    bits = np.unpackbits(hashes, axis=1).astype(int)
    expected = {
        (i, j): int(apart)
        for i, j in itertools.combinations(range(len(bits)), 2)
        if (apart := np.abs(bits[i] - bits[j]).sum()) <= distance
    }
    pairs = list(near_pairs(hashes, distance))
    assert {(min(i, j), max(i, j)): apart for i, j, apart in pairs} == expected
    assert len(pairs) == len(expected) and (expected or not distance)


def test_the_hash_says_which_neighbour_is_lighter():
    ramp = np.repeat(np.repeat(np.arange(9, dtype=np.uint8)[None] * 20, 9, 0)[..., None], 3, -1)
    for image, right, down in ((ramp, 64, 0), (ramp[:, ::-1], 0, 0), (ramp.transpose(1, 0, 2), 0, 64)):
        bits = np.unpackbits(difference_hashes(grey_levels(np.ascontiguousarray(image))[None])[0])
        assert (bits[:64].sum(), bits[64:].sum()) == (right, down)


def test_listed_and_kept_on_one_side(photos, tmp_path):
    table = tmp_path / "lists" / "photos.csv"
    table.parent.mkdir()
    ran = vcbench("data", "duplicates", f"folder:{photos}", "--groups", table)
    assert ran.returncode == 0 and "3 of 17 test images have equal pixels" in ran.stderr, ran
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert [row["distance"] for row in rows].count("equal") == 2 and len(rows) == 4
    assert rows[0]["file"] == "train/cat/0.png" and rows[0]["other_split"] == "test"
    dataset = open_dataset(f"table:{table}", None, tmp_path)
    assert dataset.split_id == "grouped-70-10-20" and len(dataset.labels) == len(opened(photos).labels)
    assert find_alike(dataset).across(dataset).pairs.shape[0] == 2  # those of two classes
    assert not any(" in train" in line or " in val" in line for line in find_alike(dataset).in_words(dataset))
    told(vcbench("data", "duplicates", f"folder:{photos}", "--groups", table), "exists already")
