# SPDX-License-Identifier: Apache-2.0
"""Builds both distributions, wheel and sdist, and tries them as users get them: in fresh environments, outside the clone.

python tools/packages.py. Dependencies come from the index, the newest that the ranges allow, not from the lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"


def build() -> None:
    """Wheels and sdists of both into dist/. Wheels are made from the sdists, so that neither lacks anything."""
    with tempfile.TemporaryDirectory() as place:
        tool = environment(Path(place) / "build", "build", "setuptools>=77")
        DIST.mkdir(exist_ok=True)
        for old in DIST.iterdir():
            old.unlink()
        for project in (ROOT, ROOT / "kubetwin"):
            call(
                Path(place), str(tool / "python"), "-m", "build", "--no-isolation", "--outdir", str(DIST), str(project)
            )


def environment(place: Path, *packages: str) -> Path:
    """A new one with ``packages``; the folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    install = [str(place / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*install, "--find-links", str(DIST), *packages], check=True)
    return place / "bin"


def call(home: Path, *command: str, code: int = 0) -> str:
    """Runs it in a home of its own, away from the clone.

    Raises:
        SystemExit: it ended with another exit code.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    kept = {**clean, "HOME": str(home), "BACKOUT_STATE": str(home / "state.db"), "BACKOUT_DATA": str(home / "data")}
    done = subprocess.run(command, cwd=home, env=kept, capture_output=True, text=True, check=False)
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def holds(what: str, condition: bool) -> None:
    """
    Raises:
        SystemExit: it does not hold.
    """
    if not condition:
        raise SystemExit(f"✗ {what}")
    print(f"✓ {what}", flush=True)


def main() -> None:
    build()
    print("\n".join(sorted(f"  {path.name}  {path.stat().st_size / 1024:.0f} KiB" for path in DIST.iterdir())))
    for kind in ("*.whl", "*.tar.gz"):
        with tempfile.TemporaryDirectory() as place:
            home = Path(place)
            [package] = DIST.glob(f"backout-{kind}")
            [twin] = DIST.glob(f"kubetwin-{kind}")
            plain = environment(home / "plain", str(package))
            called = "sdist" if kind.endswith("gz") else "wheel"
            holds(f"{called}: backout --help", "Commands" in call(home, str(plain / "backout"), "--help"))
            holds(f"{called}: kubectl-backout", "backout" in call(home, str(plain / "kubectl-backout"), "version"))
            held = call(home, str(plain / "python"), "-m", "pip", "list").lower()
            holds(
                f"{called}: no server in a production install",
                not any(word in held for word in ("uvicorn", "httptools", "kubetwin")),
            )
            refusal = call(home, str(plain / "backout"), "demo", "A1", code=5)
            holds(f"{called}: a production install says how to get embedded clusters", "backout[demo]" in refusal)
            demo = environment(home / "demo", f"{package}[demo]", str(twin))
            holds(f"{called}: kubetwin is there", "not installed" not in call(home, str(demo / "backout"), "version"))
            holds(f"{called}: backout demo A1", "recovered" in call(home, str(demo / "backout"), "demo", "A1"))


if __name__ == "__main__":
    main()
