"""`sesame get yunet` against a server of this machine: the real way, another address."""

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sesame_hpc.inference.detector_weights import SHA256, get_weights

WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "yunet" / "yunet_n_320_320.onnx"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"YuNet's weights {WEIGHTS} are not on this machine"
)


@pytest.fixture
def server(tmp_path):
    """The address of a server that hands out the files of `tmp_path`/served."""
    served = tmp_path / "served"
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, directory=str(served), **options)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", served
        running.shutdown()
        thread.join()


def command(data_home: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "sesame_hpc", "get", "yunet", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"XDG_DATA_HOME": str(data_home), "PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )


@needs_weights
def test_the_weights_come_once_and_are_where_predict_looks(server, tmp_path):
    address, served = server
    (served / "y.onnx").write_bytes(WEIGHTS.read_bytes())
    ended = command(tmp_path / "home", "--from", f"{address}/y.onnx")
    assert ended.returncode == 0, ended.stderr
    path = Path(ended.stdout.split(": ", 1)[1].strip())
    assert path == tmp_path / "home" / "sesame-hpc" / WEIGHTS.name
    assert path.read_bytes() == WEIGHTS.read_bytes()
    (served / "y.onnx").unlink()
    again = command(tmp_path / "home", "--from", f"{address}/y.onnx")
    assert again.returncode == 0, again.stderr


@needs_weights
def test_without_a_network_a_copy_will_do(tmp_path):
    assert get_weights(str(WEIGHTS), tmp_path / "a" / "y.onnx").read_bytes() == WEIGHTS.read_bytes()


def test_another_file_is_refused(server, tmp_path):
    address, served = server
    (served / "y.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=f"y.onnx is not the file .* SHA-256 is .*, not {SHA256}"):
        get_weights(f"{address}/y.onnx", tmp_path / "y.onnx")
    assert not (tmp_path / "y.onnx").exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/y.onnx", "http://[::1/y.onnx", None])
def test_no_network_is_a_sentence_that_says_what_to_do(server, tmp_path, address):
    address = address or f"{server[0]}/none.onnx"
    with pytest.raises(ConnectionError) as error:
        get_weights(address, tmp_path / "y.onnx")
    assert f"copy it to {tmp_path / 'y.onnx'}, or run sesame get yunet --from FILE" in str(
        error.value
    )
    ended = command(tmp_path / "home", "--from", address)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
