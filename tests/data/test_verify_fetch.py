"""Checking and fetching; fetching of a whole dataset is in test_flowers102."""

import socket
import threading

import pytest
from PIL import Image
from torchvision.datasets import CIFAR100

from bench.data import fetch as fetch_module
from bench.data.fetch import fetch
from bench.data.verify import verify
from bench.errors import DataError, InputError


def test_digits(tmp_path):
    report = verify("digits", tmp_path)
    assert report["name"] == "digits"
    assert report["counts"] == {"frozen": {"train": 997, "val": 200, "test": 600}}
    assert report["copy"] == "verified" and report["problems"] == []
    with pytest.raises(InputError, match="nothing to download"):
        fetch("digits", tmp_path)


def test_a_folder_with_damaged_images(tmp_path):
    root = tmp_path / "mine"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (8, 8), (i, ord(name), 99)).save(root / name / f"{i}.png")
    (root / "a" / "3.png").write_bytes((root / "a" / "3.png").read_bytes()[:50])
    (root / "b" / "7.png").write_bytes(b"")
    report = verify(f"folder:{root}", tmp_path)
    assert [line.split(":")[0] for line in report["problems"]] == [
        str(root / "a" / "3.png"),
        str(root / "b" / "7.png"),
    ]
    assert report["counts"]["stratified-70-10-20"] == {"train": 14, "val": 2, "test": 4}


def test_missing_files_are_an_error(tmp_path):
    with pytest.raises(DataError, match="cifar100: train, test, meta missing"):
        verify("cifar100", tmp_path)
    with pytest.raises(InputError, match="no dataset"):
        fetch("imagenet", tmp_path)


def test_no_network_is_one_line_at_once(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(CIFAR100, "url", f"http://127.0.0.1:{port}/cifar-100-python.tar.gz")
    with pytest.raises(DataError, match="cifar100: download into .* failed .*refused") as caught:
        fetch("cifar100", tmp_path)
    assert "\n" not in str(caught.value)
    assert "by hand: cifar-100-python/" in str(caught.value)


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(CIFAR100, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/x.tar.gz")
        # A fetch that waits for ever is ended, and then fails with another message.
        end = threading.Timer(600, silent.close)
        end.daemon = True
        end.start()
        with pytest.raises(DataError, match="timed out"):
            fetch("cifar100", tmp_path)
        end.cancel()
    assert socket.getdefaulttimeout() is None


def test_a_wrong_archive_is_refused(tmp_path, monkeypatch, serve):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "cifar-100-python.tar.gz").write_bytes(b"an error page")
    monkeypatch.setattr(CIFAR100, "url", f"{serve(tmp_path / 'wrong')}/cifar-100-python.tar.gz")
    with pytest.raises(DataError, match="File not found or corrupted"):
        fetch("cifar100", tmp_path / "data")


def test_an_unwritable_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="download into .*file/data failed"):
        fetch("cifar100", tmp_path / "file" / "data")
