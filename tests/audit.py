"""Look every pinned package up in the advisory database; `make check` runs this.

A known vulnerability fails the check. Where the database cannot be reached nothing is known, which
is said and is no failure: a check must not depend on somebody else's server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
SECONDS = 90


def audit() -> int:
    """Return the exit status: 1 for known vulnerabilities, else 0."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)]
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        print("audit: skipped, the advisory database could not be reached")
        return 0
    looked_up = [package for package in packages if "skip_reason" not in package]
    if not looked_up:
        print("audit: skipped, the advisory database could not be reached")
        return 0
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        for package in looked_up
        for flaw in package["vulns"]
    ]
    print(f"audit: {len(looked_up)} of {len(packages)} packages looked up, {len(found)} flaws")
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(audit())
