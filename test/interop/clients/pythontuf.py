"""python-tuf behind the driver protocol of clients.ts.

usage: pythontuf.py --root FILE --metadata-url URL --targets-url URL --state DIR --out DIR [--time ISO]
                    (refresh | download NAME...)
"""

import argparse
import datetime
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig


class WithToken(FetcherInterface):
    """For a private index, as docs/private.md has it."""

    def _fetch(self, url):
        headers = {"Authorization": "Bearer " + os.environ["TUF_EDGE_TOKEN"]}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)
        except urllib.error.HTTPError as error:
            raise DownloadHTTPError(str(error), error.code) from error
        return iter(lambda: answer.read(400_000), b"")


def say(**line):
    """Prints one result."""
    print(json.dumps(line), flush=True)


def explain(error):
    """One line for an exception, its kind first: tests assert on the kind."""
    return f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser()
    for option in ("root", "metadata-url", "targets-url", "state", "out"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--time")
    parser.add_argument("command", choices=("refresh", "download"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.state, exist_ok=True)
    os.makedirs(args.out, exist_ok=True)

    try:
        with open(args.root, "rb") as file:
            root = file.read()
        fetcher = WithToken() if "TUF_EDGE_TOKEN" in os.environ else None
        updater = Updater(
            args.state, args.metadata_url, args.out, args.targets_url, fetcher, config=UpdaterConfig(), bootstrap=root
        )
        trusted = updater._trusted_set
        if args.time:
            # Not a public setting: python-tuf's own tests replace the clock instead.
            trusted.reference_time = datetime.datetime.fromisoformat(args.time.replace("Z", "+00:00"))
        updater.refresh()
    except Exception as error:
        say(ok=False, error=explain(error))
        return 1

    if args.command == "refresh":
        roles = {role: getattr(trusted, role).version for role in ("root", "timestamp", "snapshot", "targets")}
        say(ok=True, version=roles)
        return 0

    status = 0
    for name in args.names:
        try:
            info = updater.get_targetinfo(name)
            if info is None:
                say(ok=False, target=name, error="not found")
                status = 1
                continue
            path = updater.download_target(info)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            say(ok=True, target=name, path=path, sha256=digest)
        except Exception as error:
            say(ok=False, target=name, error=explain(error))
            status = 1
    return status


sys.exit(main())
