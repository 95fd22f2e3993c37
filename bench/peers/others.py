"""Peers with dependencies of their own: an environment beside ours, from the lock file in `environment/`, made on first use."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).with_name("environment")


@cache
def python() -> str:
    """The interpreter of the peers' environment."""
    uv = Path(__file__).parents[2] / ".uv" / "bin" / "uv"
    argv = [
        str(uv) if uv.exists() else "uv",
        "sync",
        "--locked",
        "--quiet",
        "--project",
        str(PROJECT),
        "--python",
        sys.executable,
    ]
    subprocess.run(argv, check=True, env=dict(os.environ) | {"UV_PROJECT_ENVIRONMENT": str(PROJECT / ".venv")})
    return str(PROJECT / ".venv" / "bin" / "python")
