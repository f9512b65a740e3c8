"""Which file the weights come from, with and without a network."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.errors import InputError, WeightsError
from bench.networks import find_card, resolve_weights

CONTENT = b"not looked into by resolve_weights"
SHA = hashlib.sha256(CONTENT).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_none(tmp_path):
    weights = resolve_weights(find_card("resnet50"), "none", tmp_path, download=False)
    assert (weights.requested, weights.fingerprint, weights.path) == ("none", "none", None)


def test_card_prefers_the_weights_directory(tmp_path, hub):
    (tmp_path / "resnet50.safetensors").write_bytes(CONTENT)
    weights = resolve_weights(find_card("resnet50"), "card", tmp_path, download=False)
    assert (weights.path, weights.fingerprint) == (tmp_path / "resnet50.safetensors", SHA)
    assert weights.source == "file resnet50.safetensors in the weights directory"


def test_card_then_the_hub_cache(tmp_path, hub):
    repository = hub / "models--timm--resnet50.a1_in1k"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(CONTENT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    weights = resolve_weights(find_card("resnet50"), "card", tmp_path, download=False)
    assert (weights.path, weights.fingerprint) == (snapshot / "model.safetensors", SHA)
    assert "timm/resnet50.a1_in1k" in weights.source


def test_missing_without_download(tmp_path, hub):
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("resnet50"), "card", tmp_path, download=False)
    text = one_line(error)
    assert str(tmp_path / "resnet50.safetensors") in text and "timm/resnet50.a1_in1k" in text


@pytest.mark.parametrize("silent", [False, True])
def test_no_network_is_known_without_waiting_for_it(tmp_path, hub, monkeypatch, silent):
    def no_names(*args, **kwargs):
        if silent:
            over.wait(1800)
            waited_for.set()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    over, waited_for = threading.Event(), threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("resnet50"), "card", tmp_path, download=True)
    assert not waited_for.is_set()  # where names are never answered, the message came before
    over.set()
    text = one_line(error)
    assert "resnet50.safetensors" in text and "does not answer" in text and "machine with a network" in text


@pytest.fixture
def served(hub, monkeypatch):
    """A hub on this machine that has resnet50.a1_in1k; it breaks off in resnet18, and has nothing else."""

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            known, cut = "resnet50.a1_in1k" in self.path, "resnet18." in self.path
            self.send_response(200 if known or cut else 404)
            self.send_header("ETag", f'"{SHA}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Content-Length", str(len(CONTENT) if known or cut else 0))
            self.end_headers()
            if known and self.command == "GET":
                self.wfile.write(CONTENT)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
    )
    yield
    server.shutdown()
    server.server_close()


def test_download_fills_the_cache(tmp_path, served):
    weights = resolve_weights(find_card("resnet50"), "card", tmp_path, download=True)
    assert (weights.path.read_bytes(), weights.fingerprint) == (CONTENT, SHA)
    again = resolve_weights(find_card("resnet50"), "card", tmp_path, download=False)
    assert again.path == weights.path


def test_a_refused_download_is_one_line(tmp_path, served):
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("vit_small_patch16_224"), "card", tmp_path, download=True)
    assert "the download failed" in one_line(error)


def test_a_download_that_breaks_off_is_one_line(tmp_path, served, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the tries of the hub's client
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("resnet18"), "card", tmp_path, download=True)
    assert "the download failed" in one_line(error) and "resnet18" in one_line(error)


def test_a_card_without_a_tag_needs_its_file(tmp_path):
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("vit_digits"), "card", tmp_path, download=True)
    assert str(tmp_path / "vit_digits.safetensors") in one_line(error)


def test_file_in_the_weights_directory_first(tmp_path, monkeypatch):
    weights_dir, here = tmp_path / "weights", tmp_path / "here"
    weights_dir.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "a.safetensors").write_bytes(b"here")
    card = find_card("resnet50")
    assert (
        resolve_weights(card, "file:a.safetensors", weights_dir, download=False).path.read_bytes() == b"here"
    )
    (weights_dir / "a.safetensors").write_bytes(CONTENT)
    weights = resolve_weights(card, "file:a.safetensors", weights_dir, download=False)
    assert (weights.requested, weights.fingerprint) == ("file:a.safetensors", SHA)
    absolute = resolve_weights(card, f"file:{here / 'a.safetensors'}", weights_dir, download=False)
    assert absolute.path == here / "a.safetensors"


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError) as error:
        resolve_weights(find_card("resnet50"), "file:b.safetensors", tmp_path, download=True)
    assert str(tmp_path / "b.safetensors") in one_line(error)


@pytest.mark.parametrize("requested", ["", "file:", "pretrained", "Card"])
def test_anything_else_is_an_input_error(tmp_path, requested):
    with pytest.raises(InputError, match='must be "none", "card" or "file:PATH"'):
        resolve_weights(find_card("resnet50"), requested, tmp_path, download=False)
