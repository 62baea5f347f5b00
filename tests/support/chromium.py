"""Headless Chromium over chromedriver's HTTP interface, with nothing but the standard library."""

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Browser", "missing"]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _programs() -> tuple[str | None, str | None]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    return browser, shutil.which("chromedriver")


def missing() -> str | None:
    """What is not installed here, as a reason to skip; None where both programs are."""
    names = [
        name
        for name, path in zip(("chromium", "chromedriver"), _programs(), strict=True)
        if path is None
    ]
    return f"{' and '.join(names)} not installed" if names else None


class Browser:
    """One browser with a profile of its own in the folder `profile`; a context manager."""

    def __init__(self, profile: Path) -> None:
        browser, driver = _programs()
        assert browser
        assert driver
        self._process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._address = f"http://127.0.0.1:{self._port()}"
        options = {"binary": browser, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
        logs = {"performance": "ALL", "browser": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        session = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.communicate(timeout=120)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the Chrome DevTools protocol."""
        return self._post(
            f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters}
        )

    def view(self, width: int, height: int = 800, dark: bool = False, media: str = "") -> None:
        """Take on a window of CSS pixels, a colour scheme and a medium ("print")."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def open(self, page: Path) -> None:
        self._post(f"{self._session}/url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """The value that the JavaScript function body returns."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def requests(self) -> list[str]:
        """Addresses asked for since the last call, data: addresses left out."""
        entries = self._post(f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
        addresses = [each["params"]["request"]["url"] for each in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def console(self) -> list[str]:
        """What the page and the browser have said about it since the last call."""
        entries = self._post(f"{self._session}/se/log", {"type": "browser"})
        return [str(entry["message"]) for entry in entries]

    def download_to(self, folder: Path) -> None:
        """Save what links download into the folder, without asking."""
        self.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _port(self) -> int:
        assert self._process.stdout
        for line in self._process.stdout:
            if "started successfully on port" in line:
                return int(line.rsplit("port", 1)[1].strip(" .\n"))
        raise RuntimeError("chromedriver did not start")

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self._address + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.load(response)["value"]
