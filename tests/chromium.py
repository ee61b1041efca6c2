"""A real browser, spoken to through a pipe: what it loads, what it complains of, what it shows."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--allow-file-access-from-files",
    "--remote-debugging-pipe",
)  # fmt: skip
LOCAL = ("file:", "data:", "blob:", "about:")


def find():
    """Path of a browser of this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Chromium without a window, driven by the DevTools protocol."""

    def __init__(self, path, folder):
        # the browser reads commands from descriptor 3 and answers on 4
        read_commands, self._write = os.pipe()
        self._read, write_answers = os.pipe()

        def place():
            os.dup2(read_commands, 13)
            os.dup2(write_answers, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self._process = subprocess.Popen(
            [path, *FLAGS, f"--user-data-dir={folder}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place, pass_fds=(3, 4),
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        self._left, self._count, self._events = b"", 0, []

    def close(self):
        """End it."""
        with contextlib.suppress(OSError):
            self.command("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def command(self, method, session=None, **parameters):
        """Send a command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next(60.0)
            if found.get("id") == self._count:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self._events.append(found)

    def _next(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], deadline - time.monotonic())
            block = os.read(self._read, 1 << 20) if ready else b""
            if not block:
                raise OSError("the browser does not answer")
            self._left += block
        text, self._left = self._left.split(b"\0", 1)
        return json.loads(text)

    def open(self, url, *, width=1200, dark=False, media=""):
        """Open a page and wait until it has loaded.

        Parameters
        ----------
        url : str
        width : int
            Of the window, in pixels.
        dark : bool
            Whether the reader prefers dark colours.
        media : str
            "print" for the printed page.

        Returns
        -------
        Page
        """
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable", session)
        self.command(
            "Emulation.setDeviceMetricsOverride", session, width=width, height=900,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        preference = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", session, media=media, features=[preference])
        self._events.clear()
        self.command("Page.navigate", session, url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next(60.0))
        self.command("Runtime.evaluate", session, awaitPromise=True, expression=SETTLED)
        return Page(self, target, session, list(self._events))


class Page:
    """A loaded page."""

    def __init__(self, browser, target, session, events):
        self._browser, self._target, self._session = browser, target, session
        self.complaints, self.requests = [], []
        for event in events:
            method, given = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                self.complaints.append(given["exceptionDetails"]["text"])
            elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
                self.complaints.append(str([value.get("value") for value in given["args"]]))
            elif method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
                self.complaints.append(given["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])

    @property
    def from_network(self):
        """Requests that leave the machine."""
        return [url for url in self.requests if not url.startswith(LOCAL)]

    def evaluate(self, expression):
        """Value of a JavaScript expression."""
        found = self._browser.command(
            "Runtime.evaluate", self._session, expression=expression, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def picture(self, path):
        """Write a picture of the whole page."""
        found = self._browser.command(
            "Page.captureScreenshot", self._session, captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self):
        """Close it."""
        self._browser.command("Target.closeTarget", targetId=self._target)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def browser():
    """Start a browser, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Browser(find(), folder)
        try:
            yield found
        finally:
            found.close()


# fonts are there and pictures drawn; then two frames, so that scripts that wait for one have run
SETTLED = """(async () => {
  await document.fonts.ready;
  await Promise.all([...document.images].map(i => i.decode().catch(() => 0)));
  await new Promise(done => setTimeout(done, 100));
})()"""

# pictures that did not load, or say nothing to who cannot see them, where no words stand beside
PICTURES = """[...document.images].filter(i => i.checkVisibility() &&
  (!i.naturalWidth || !i.hasAttribute('alt') || !i.alt && !i.parentElement.textContent.trim()))
  .map(i => i.outerHTML.slice(0, 120))"""

# elements with text or pictures that reach out of the window, and that no scrolling brings back
CUT = """(() => {
  const wide = document.documentElement.clientWidth + 1, found = [];
  for (const e of document.body.querySelectorAll('*')) {
    if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const box = e.getBoundingClientRect();
    const aside = box.left >= wide && getComputedStyle(e).position === 'fixed';
    if (box.right <= wide || !box.width || aside) continue;
    let held = false;
    for (let p = e; p && p !== document.body; p = p.parentElement) {
      const s = getComputedStyle(p);
      if (['auto', 'scroll'].includes(s.overflowX) || s.position === 'fixed' ||
          s.position === 'absolute' && p.getBoundingClientRect().width <= 2) { held = true; break; }
    }
    if (!held) found.push(e.tagName + '.' + e.className + ': ' + e.textContent.trim().slice(0, 60));
  }
  return found.slice(0, 10);
})()"""

# text whose colour differs too little from what lies behind it (WCAG 2, level AA)
FAINT = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = c => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (a, b) => [0, 1, 2].map(k => a[k] * a[3] + b[k] * (1 - a[3])).concat(1);
  const behind = e => { const stack = [];
    for (let p = e; p; p = p.parentElement) stack.push(rgba(getComputedStyle(p).backgroundColor));
    return stack.reduceRight((under, c) => over(c, under), [255, 255, 255, 1]); };
  const light = c => { const v = c.slice(0, 3).map(x => x / 255)
    .map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const found = new Map(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest('script, style, noscript') ||
        !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const s = getComputedStyle(e), under = behind(e), size = parseFloat(s.fontSize);
    const big = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
    const [a, b] = [light(over(rgba(s.color), under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < (big ? 3 : 4.5))
      found.set(s.color + s.backgroundColor, ratio.toFixed(2) + ' ' + e.outerHTML.slice(0, 100));
  }
  return [...found.values()].slice(0, 10);
})()"""
