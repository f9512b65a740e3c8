"""What the tests of the data side share."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def frozen_text(divided, comment) -> str:
    """The file of a frozen division: the positions of every split but train, one a line."""
    rows = [f"{split},{i}" for split, positions in divided.items() if split != "train" for i in positions]
    return "\n".join([f"# {comment}", "split,index", *rows]) + "\n"


@pytest.fixture
def serve():
    """A function that serves a folder over HTTP on this machine and returns its address."""
    servers = []

    def start(folder) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
