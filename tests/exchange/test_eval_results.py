"""The forms of the Hugging Face Hub and of Every Eval Ever."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from console import told, vcbench
from small_store import run_id, write_store


@pytest.fixture
def right():
    random = np.random.default_rng(0)
    return {("vit", 5): random.random((3, 400)) < 0.6, ("resnet", None): random.random((1, 400)) < 0.9}


@pytest.fixture
def store(tmp_path, right):
    return write_store(tmp_path / "store", right, diverged=(run_id("vit", 5, 2),))


def export(form, store, out, *more):
    return vcbench("export", "--format", form, "--results", store, "--out", out, *more)


def test_hub(store, tmp_path, right):
    ran = export("eval-results", store, tmp_path / "out", "--hub-dataset", "digits=me/digits")
    assert ran.returncode == 0, ran.stderr
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.yaml")
    }
    assert set(files) == {"vit/.eval_results/small-main-5.yaml", "resnet/.eval_results/small-main-all.yaml"}
    (entry,) = yaml.safe_load(files["vit/.eval_results/small-main-5.yaml"].read_text())
    assert entry["dataset"] == {"id": "me/digits", "task_id": "frozen"}
    assert entry["value"] == pytest.approx((right["vit", 5][:2].mean() * 2 + 0.1) / 3, abs=1e-6)
    assert "images_per_class 5" in entry["notes"] and "replicates 3" in entry["notes"]
    reader = pytest.importorskip("huggingface_hub._eval_results")
    (read,) = reader.parse_eval_result_entries([entry])
    assert reader.eval_result_entries_to_yaml([read]) == [entry]


def test_the_hubs_data_set_is_for_the_user_to_say(store, tmp_path):
    told(export("eval-results", store, tmp_path / "out"), "digits", "--hub-dataset digits=OWNER/NAME")
    told(export("eval-results", store, tmp_path / "out", "--hub-dataset", "digits=me"), "NAME=OWNER/NAME")
    told(export("csv", store, tmp_path / "out", "--hub-dataset", "digits=a/b"), "only --format eval-results")
    assert not (tmp_path / "out").exists()


# What the published schema, version 0.3, requires of each part, and the type of every value.
REQUIRED = {
    "schema_version": str, "evaluation_id": str, "retrieved_timestamp": str, "source_metadata": dict,
    "model_info": dict, "eval_library": dict, "evaluation_results": list,
}  # fmt: skip
REQUIRED_RESULT = {"evaluation_name": str, "source_data": dict, "metric_config": dict, "score_details": dict}


def test_every_eval_ever(store, tmp_path, right):
    ran = export("every-eval-ever", store, tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"small-vit.json", "small-resnet.json"}
    document = json.loads((tmp_path / "out/small-vit.json").read_text())
    assert {key: type(value) for key, value in document.items()} == REQUIRED
    assert document["source_metadata"].keys() >= {
        "source_type", "source_organization_name", "evaluator_relationship",
    }  # fmt: skip
    assert document["source_metadata"]["source_type"] in ("documentation", "evaluation_run")
    assert (
        document["eval_library"].keys() >= {"name", "version"}
        and document["model_info"]["id"] == "vit_digits"
    )
    (result,) = document["evaluation_results"]
    assert {key: type(result[key]) for key in REQUIRED_RESULT} == REQUIRED_RESULT
    assert result["source_data"]["source_type"] == "other"
    config = result["metric_config"]
    assert config["lower_is_better"] is False and (config["min_score"], config["max_score"]) == (0, 1)
    score, means = result["score_details"], np.append(right["vit", 5][:2].mean(1), 0.1)
    assert score["score"] == pytest.approx(means.mean())
    error = score["uncertainty"]["standard_error"]["value"]
    assert error == pytest.approx(means.std(ddof=1) / 3**0.5) and score["uncertainty"]["num_samples"] == 3
    assert {type(value) for value in score["details"].values()} == {str}
    (single,) = json.loads((tmp_path / "out/small-resnet.json").read_text())["evaluation_results"]
    assert "uncertainty" not in single["score_details"]


def test_every_eval_ever_by_its_own_schema(store, tmp_path):
    """Where its package is installed, which needs Python 3.12."""
    jsonschema, package = pytest.importorskip("jsonschema"), find_spec("every_eval_ever")
    if package is None:
        pytest.skip("every-eval-ever is not installed")
    schema = json.loads(
        (Path(package.origin).parent / "schemas/eval.schema.json").read_text(encoding="utf-8")
    )
    assert export("every-eval-ever", store, tmp_path / "out").returncode == 0
    for file in (tmp_path / "out").iterdir():
        jsonschema.validate(json.loads(file.read_text(encoding="utf-8")), schema)
