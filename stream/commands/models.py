"""``flowtell models``: optional model files."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from stream.downloads import CATALOG
from stream.downloads import pull as fetch

app = App(name="models", help="Optional model files, kept in the user cache directory.")


@app.command
def pull(name: Literal["yunet"]) -> None:
    """Download a model file, check it against its pinned SHA-256, and keep it for --face-model."""
    print(fetch(name))


@app.command(name="list")
def list_models() -> None:
    """Tell which model files there are, and which have been pulled."""
    for entry in CATALOG.values():
        print(f"{entry.name}: {entry.what}; {entry.path() if entry.path().is_file() else 'not pulled'}")
