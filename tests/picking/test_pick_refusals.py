"""What a pick refuses, in one line, and what it leaves as it is."""

import pytest
from small_pick import MODELS, fill

from bench.errors import InputError
from bench.picking.candidates import find_candidates


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--budget", "0s"], "should be a duration"),
        (["--budget", "4s"], "--budget: 4 s are too little: timing networks takes about"),
        (["--max-params", "ten"], "--max-params ten: should be a number such as 10M"),
        (["--max-params", "10"], "no model can take part: resnet_digits_small has"),
        (["--max-latency", "5"], "--max-latency 5: should be a time such as 30ms"),
        (["--out", "there.txt"], "should end in .toml"),
        (["--models", " , "], "--models ' , ': should be names of models"),
        (["--budget", "30s", "--max-latency", "0.0001ms"], "no model can take part"),
    ],
)
def test_options_that_do_not_fit(pick, options, line):
    status, out, err = pick(*(options if "--budget" in options else ["--budget", "60s", *options]))
    assert status == 2 and line in err.replace("\n", " ") and not out


def test_a_model_without_weights_that_was_named_is_an_error(pick):
    status, _, err = pick("--budget", "30s", models="vit_digits,resnet_digits_large")
    assert status == 2 and "resnet_digits_large: no pretrained weights" in err


def test_a_file_that_no_pick_has_written_stays(pick, tmp_path):
    (tmp_path / "pick-photos.toml").write_text("mine")
    status, _, err = pick("--budget", "30s")
    assert status == 2 and "no pick has written it" in err
    assert (tmp_path / "pick-photos.toml").read_text() == "mine"


def test_a_file_beside_it_stays_too(pick, tmp_path):
    (tmp_path / "pick-photos.json").write_text("{}")
    status, _, err = pick("--budget", "30s")
    assert status == 2 and "pick-photos.json exists already" in err
    assert pick("--budget", "30s", "--out", "quick.toml")[0] == 2


def test_results_of_something_else_stay_as_they_are(pick, tmp_path):
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "to-mother.txt").write_text("Dear")
    status, _, err = pick("--budget", "30s", "--results", str(letters))
    assert status != 0 and "letters: is no run store, and holds something else (to-mother.txt)" in err
    assert [path.name for path in letters.iterdir()] == ["to-mother.txt"]


def test_a_folder_that_is_not_there(pick, tmp_path):
    status, _, err = pick("--budget", "30s", data=tmp_path / "nowhere")
    assert status == 2 and "nowhere" in err


def test_an_unknown_model(tmp_path):
    with pytest.raises(InputError, match="resnet51"):
        list(
            find_candidates(
                ["resnet51"], tmp_path, classes=3, input_size=224, max_params=None,
                online=lambda: False, is_over=lambda: False, left_out=[],
            )
        )  # fmt: skip


def test_ctrl_c_before_there_is_an_answer(photos, weights, tmp_path, monkeypatch):
    from bench.cli.picking import Place, pick_backbone
    from bench.cli.progress import Ended, Stop

    monkeypatch.chdir(tmp_path)
    stop = Stop(60)
    stop.signal = 2
    with pytest.raises(Ended):
        pick_backbone(
            str(photos),
            Place(weights_dir=weights, device="cpu"),
            stop,
            models=MODELS,
            input_size=16,
            quiet=True,
        )


def test_warnings_of_the_images_are_told_where_nobody_watches(pick, tmp_path, monkeypatch):
    def ends(*rest, **more):
        raise InputError("enough")

    folder = fill(tmp_path / "photos", 12)
    (folder / "cat" / "notes.docx").write_text("none")
    monkeypatch.setattr("bench.picking.pick.pick", ends)
    status, _, err = pick("--json", data=folder)
    assert status == 2 and "warning: photos: 1 files passed over: 1 .docx" in err


def test_the_budget_is_the_one_that_was_given(photos, weights, tmp_path, monkeypatch):
    """Whatever was spent before, on importing PyTorch for one, is part of it."""
    from bench.cli.picking import Place, pick_backbone
    from bench.cli.progress import Stop

    clocks = []

    def ends(dataset, candidates, left_out, clock, **rest):
        clocks.append(clock)
        raise InputError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.picking.pick.pick", ends)
    stop = Stop(60)
    for name in ("began", "deadline"):
        setattr(stop, name, getattr(stop, name) - 20)
    with pytest.raises(InputError, match="enough"):
        pick_backbone(str(photos), Place(weights_dir=weights, device="cpu"), stop, models=MODELS, quiet=True)
    (clock,) = clocks
    assert clock.given == 60 and clock.spent >= 20 and clock.left < 40
