"""A stand-in of the Hugging Face Hub's HTTP API on this machine, as far as our client uses it.

It keeps one revision of each model in memory. The paths and bodies are those of huggingface_hub's
client: repositories are created, files are announced (`preupload`), large ones uploaded by the LFS
batch API, and all committed; then they are listed and downloaded. Only one token may write.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["TOKEN", "Hub", "hub_server"]

TOKEN = "hf_standin"
_SHA = "0123456789abcdef0123456789abcdef01234567"
_LARGE = (".safetensors", ".onnx", ".pt")


class Hub:
    """The models by name, each {path: content}; what was uploaded as large files; and requests."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.address = ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.requests.append(f"POST {self.path}")
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'tester'}/{asked['name']}"
            self.hub.models.setdefault(name, {})
            self.hub.private[name] = bool(asked.get("private"))
            return self._json({"url": f"{self.hub.address}/{name}", "id": name})
        if re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(_LARGE) else "regular" for name in files}
            listed = [
                {"path": name, "uploadMode": mode, "shouldIgnore": False}
                for name, mode in modes.items()
            ]
            return self._json({"files": listed})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                each | {"actions": {"upload": {"href": f"{self.hub.address}/put/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": objects})
        if match := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            return self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        return self._json({"error": "unknown"}, 404)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.large[self.path.rpartition("/")[2]] = content
        self._json({})

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/(.+)/resolve/[^/]+/(.+)", path):
            return self._file(self.hub.models.get(match[1], {}), match[1], match[2])
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/tree/.+|/revision/.+)?", path)
        if match is None or match[1] not in self.hub.models:
            return self._json({"error": "no such"}, 404, {"X-Error-Code": "RepoNotFound"})
        files = self.hub.models[match[1]]
        if (match[2] or "").startswith("/tree"):
            return self._json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": _digest(content)}
                    for name, content in files.items()
                ]
            )
        siblings = [{"rfilename": name} for name in files]
        return self._json({"id": match[1], "sha": _SHA, "siblings": siblings, "tags": []})

    do_HEAD = do_GET

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.hub.models[name][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.models[name][value["path"]] = self.hub.large[value["oid"]]
        url = f"{self.hub.address}/{name}/commit/{_SHA}"
        self._json({"commitUrl": url, "commitOid": _SHA, "success": True})

    def _file(self, files: dict[str, bytes], model: str, name: str) -> None:
        if name not in files:
            code = "EntryNotFound" if model in self.hub.models else "RepoNotFound"
            return self._json({"error": "no such"}, 404, {"X-Error-Code": code})
        headers = {"ETag": f'"{_digest(files[name])}"', "X-Repo-Commit": _SHA}
        return self._send(files[name], 200, headers)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._send(json.dumps(value).encode(), status, sent)

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
