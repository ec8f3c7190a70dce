"""A person at the console while machines report, in a process of her own.

    python -m benchmarks.pages --url https://localhost:N --ca FILE --password P PATH...

Signs in, asks for a page every 200 ms, each in turn, until its standard input ends, and prints the
seconds that each took as JSON: {path: [...]}.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import select
import ssl
import sys
import time
from collections import defaultdict
from urllib.parse import urlencode, urlsplit

NAME = "bench"
EVERY_S = 0.2
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


class Browser:
    """Keeps cookies and one connection."""

    def __init__(self, url: str, ca: str) -> None:
        at = urlsplit(url)
        self._origin = url
        context = ssl.create_default_context(cafile=ca)
        self._line = http.client.HTTPSConnection(at.netloc, context=context, timeout=600)
        self._cookies: dict[str, str] = {}

    def sign_in(self, password: str) -> None:
        found = _TOKEN.search(self.ask("GET", "/sign-in"))
        fields = {"form_token": found[1] if found else "", "name": NAME, "password": password}
        self.ask("POST", "/sign-in", urlencode(fields))

    def ask(self, method: str, path: str, body: str | None = None) -> str:
        headers = {"accept": "text/html", "sec-fetch-site": "same-origin", "origin": self._origin}
        if self._cookies:
            headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self._cookies.items())
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        self._line.request(method, path, body, headers)
        answer = self._line.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 303):
            raise SystemExit(f"{path} answered {answer.status}")
        for line in answer.headers.get_all("set-cookie") or ():
            name, _, rest = line.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("paths", nargs="+")
    asked = parser.parse_args()
    browser = Browser(asked.url, asked.ca)
    browser.sign_in(asked.password)
    for path in asked.paths:
        browser.ask("GET", path)  # what is made at the first question is not what is measured
    print("ready", flush=True)
    took: dict[str, list[float]] = defaultdict(list)
    number = 0
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        path = asked.paths[number % len(asked.paths)]
        number += 1
        began = time.perf_counter()
        browser.ask("GET", path)
        took[path].append(time.perf_counter() - began)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
