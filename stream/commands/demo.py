"""``flowtell demo``: the bundled clip through the same watching as everything else."""

from __future__ import annotations

from stream.demo import CLIP, TAMPERED_FROM_S
from stream.errors import SourceNotFound
from stream.sinks.window import no_display
from stream.sources import SourceOptions
from stream.watch import Camera, WatchOptions, watch

from .options import Device, ModelFile, say


def demo(*, window: bool | None = None, device: Device = "auto", model: ModelFile = None) -> int:
    """Watch the bundled clip, whose second half is tampered with, and tell what the model says of it.

    Parameters
    ----------
    window
        Show a window; by default where there is a display.
    """
    if not CLIP.is_file():
        raise SourceNotFound(f"no demo clip at {CLIP}: install flowtell anew")
    say(
        f"a portrait set in motion: as it is until {TAMPERED_FROM_S:g} s, with a pasted face from there on; "
        "what follows is what the model says"
    )
    # Who looks at a window wants to see it move as it was filmed; who reads lines wants them now.
    shown = window is not False and no_display() is None
    camera = Camera("demo", str(CLIP), SourceOptions(realtime=shown))
    return watch([camera], WatchOptions(window=window, model=model, device=device), say)
