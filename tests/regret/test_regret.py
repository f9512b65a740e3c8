"""The study's arithmetic on planted results, its data sets, and its page."""

import numpy as np
import pandas as pd
import pytest
from regret.page import summary, write_page
from regret.study import POOL, counting, regrets
from regret.tasks import SUPERCLASSES, Task, tasks, write

A, B, C, D = POOL


def planted(task, test, picked, survivors, val=None, probe=None):
    names = dict(zip(POOL, test, strict=True))
    return {
        "task": task,
        "classes": 5,
        "train_images": 100,
        "test_images": 500,
        "picking_s": 10.0,
        "tuning_s": 90.0,
        "test_top1": names,
        "val_top1": dict(zip(POOL, val or test, strict=True)),
        "picked": picked,
        "survivors": survivors,
        "probe_top1": dict(zip(POOL, probe or test, strict=True)),
        "knn_top1": names,
    }


STUDIED = [
    planted("one", [0.9, 0.8, 0.7, 0.6], picked=B, survivors=[B, C], probe=[0.1, 0.2, 0.3, 0.4]),
    planted("two", [0.5, 0.6, 0.7, 0.9], picked=D, survivors=[D, A], val=[0.9, 0.1, 0.1, 0.2]),
    planted("three", [0.8, 0.8, 0.5, 0.5], picked=A, survivors=[A, B]),
]


def of(way):
    frame = regrets(STUDIED)
    return frame[frame["way"] == way].set_index("task")["regret"].round(9).to_dict()


def test_regrets_by_hand():
    assert of("a pick on frozen features") == {"one": 0.1, "two": 0.0, "three": 0.0}
    assert of("a pick whose judged are trained") == {"one": 0.1, "two": 0.4, "three": 0.0}
    assert of("best cross-validated probe") == {"one": 0.3, "two": 0.0, "three": 0.0}
    assert of("all trained, the best on val")["two"] == 0.4
    assert of("always EfficientNet-Lite1") == {"one": 0.1, "two": 0.3, "three": 0.0}
    assert of("one at random")["one"] == pytest.approx(0.15)


def test_what_is_best_on_the_other_data_sets_does_not_know_this_one():
    # Over two and three B has .7, as D has; over one and three A .85; over one and two D .75.
    assert of("best on the other data sets") == {"one": 0.1, "two": 0.4, "three": 0.3}


def test_the_best_published_model_is_that_of_the_cards():
    frame = regrets(STUDIED)
    assert set(frame.loc[frame["way"] == "best published ImageNet accuracy", "model"]) == {
        "tf_efficientnet_lite2"
    }


def test_the_page_says_what_the_frame_says(tmp_path):
    write_page(STUDIED, tmp_path / "regret.md")
    text = (tmp_path / "regret.md").read_text()
    row = summary(regrets(STUDIED)).loc["a pick on frozen features"]
    assert f"| a pick on frozen features | {100 * row['mean']:.1f} | 10.0 | 67% |" in text
    # One of four models is the best of "one" and "two", two are of "three": (1/4 + 1/4 + 2/4) / 3.
    assert "| one at random | 17.5 | 22.5 | 33% |" in text and "cut from CIFAR-100" not in text
    said = "(3.3 points below the best of the pool) was better than always taking EfficientNet-Lite"
    assert said in text and "(13.3)." in text
    assert "| one | 5 | 100 | 90.0 | 80.0 | 70.0 | 60.0 | EfficientNet-Lite1 |" in text
    assert "took 10 s a data set" in text and "4 models 90 s" in text
    assert len(pd.read_csv(tmp_path / "regret.csv")) == len(regrets(STUDIED))
    assert (tmp_path / "regret.svg").read_text().startswith("<?xml")


def test_of_two_regimes_what_is_better_on_val_counts():
    rows = [(A, "finetune", 0.5, 0.9), (A, "finetune", 0.7, 0.9), (A, "linear-probe", 0.65, 0.4)]
    rows += [(B, "finetune", 0.2, 0.3), (B, "linear-probe", 0.1, 0.8)]
    frame = pd.DataFrame(rows, columns=["model", "recipe", "val_top1", "top1"]).assign(suite="s")
    val, test = counting(frame, "s")
    assert val == {A: pytest.approx(0.65), B: 0.2} and test == {A: 0.4, B: 0.3}


def test_superclasses_are_five_classes_each():
    words = [word for own in SUPERCLASSES.values() for word in own.split()]
    assert len(SUPERCLASSES) == 20 and len(words) == len(set(words)) == 100
    assert len(tasks()) == 24


def test_a_task_takes_each_split_from_the_source_s_own(real_data, tmp_path):
    from PIL import Image

    from bench.data import open_dataset

    source = open_dataset("cifar100", None, real_data)
    assert {word for own in SUPERCLASSES.values() for word in own.split()} == set(source.class_names)
    folder = write(
        Task("t", "cifar100", {"bear": "beast", "wolf": "beast", "rose": "plant"}, 4, 3, 5),
        tmp_path,
        real_data,
    )
    for split, count in (("train", 4), ("val", 3), ("test", 5)):
        for label, allowed in (("beast", {"bear", "wolf"}), ("plant", {"rose"})):
            files = sorted((folder / split / label).glob("*.png"))
            assert len(files) == count
            for file in files:
                position = int(file.stem)
                assert position in source.splits[split]
                assert source.class_names[source.labels[position]] in allowed
                assert np.array_equal(np.asarray(Image.open(file)), source.read(position))
