"""A real headless Chromium for tests, driven over a pair of pipes: no port, no driver program, no further package.

The protocol is that of Chromium's own tools (`--remote-debugging-pipe`): JSON messages, each ended by a zero byte.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TO_BROWSER, _FROM_BROWSER = 3, 4  # the file descriptors that Chromium expects
_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


def chromium() -> str | None:
    """The browser's program, None where there is none."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Browser:
    """One page in the browser; everything that it logs, throws or requests is kept in `events`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._rest, self._last = to_browser, from_browser, b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, *, width: int, height: int, dark: bool = False) -> None:
        """Loads a file at a size of the window, and waits until it is whole. Events of earlier pages are forgotten."""
        self.events.clear()
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                   mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self._call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, by value."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, *, whole: bool) -> str:
        """A PNG as base64 text: of the window, or of the whole page."""
        data: str = self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        return data

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        methods = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in methods]

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip

    def _call(self, method: str, **params: Any) -> Any:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            found = os.read(self._from, 1 << 16)
            assert found, "the browser has ended"
            self._rest += found
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def opened_browser(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in the folder `profile`, ended with the block."""
    to_child, to_browser = os.pipe()
    from_browser, from_child = os.pipe()
    # The shell gives the pipes the numbers that Chromium wants, whatever numbers they have here.
    moved = f'exec {_TO_BROWSER}<&{to_child} {_FROM_BROWSER}>&{from_child}; exec "$0" "$@"'
    process = subprocess.Popen(
        ["/bin/bash", "-c", moved, program, *_SWITCHES, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(to_child, from_child),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_child)
    os.close(from_child)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(to_browser)
        os.close(from_browser)
