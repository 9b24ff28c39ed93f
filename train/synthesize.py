"""``flowtell train synthesize`` and the recipe data ``synthetic``: real faces and pseudo-fakes, made on the fly."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number
from numpy.typing import NDArray

from stream.commands.options import FaceModel, say
from stream.contract import Contract
from stream.downloads import face_model_file
from stream.errors import DataError, UsageError
from stream.records import Image

from .bank import DECODERS, Bank, Source, gather, held_out
from .cli import Seed, Workers, bar
from .dataset import ALTERED, ORIGINAL
from .decoders import SPECS, decoders_of, fit_decoders
from .explain import write_png
from .manifest import read_manifest
from .recipe import Recipe
from .twins import METHODS, Mix, Synthetic

SHEET_COLUMNS = 9


class TwinSamples:
    """Twins as single samples for ``fit``: index 2k is altered, 2k + 1 the original it was made of.

    size: samples of one epoch. repeat: every epoch the same (validation). located: one more channel says where the
    twins differ, for ``dense.dense_loss`` alone.
    """

    def __init__(self, twins: Synthetic, size: int, repeat: bool = False, located: bool = False) -> None:
        self._twins, self._size, self._repeat, self._located = twins, size, repeat, located
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return self._size

    @property
    def made_of(self) -> str:
        """What the contract says that the network was trained on."""
        return self._twins.made_of

    def sample(self, epoch: int, index: int) -> tuple[Image, int]:
        draw = (0 if self._repeat else epoch) * self._size + index
        # One worker makes a whole batch, so both twins of a draw meet here: make them once.
        if self._last is None or self._last[0] != draw // 2:
            images, where, _ = self._twins.located(draw // 2)
            if self._located:
                images = np.concatenate([images, np.stack([where, where])[..., None]], axis=3)
            self._last = (draw // 2, images)
        return self._last[1][draw % 2], ORIGINAL if draw % 2 else ALTERED


def samples(source: Path, contract: Contract, part: str, recipe: Recipe) -> TwinSamples:
    """The ``train`` or ``valid`` part of a face bank for a recipe whose ``data`` is ``synthetic``.

    Both parts' pseudo-fakes are painted by the bank's decoders, where it has some and ``decoded`` is not 0: people are
    held out, painters not.

    The recipe's options may change the shares of ``twins.Mix`` and give ``epoch`` (samples an epoch) and
    ``valid`` (samples of the fixed validation set, all of them pseudo-fakes of people not trained on).
    """
    bank, options = Bank(source), dict(recipe.options)
    try:
        epoch, valid = int(options.pop("epoch", 12_800)), int(options.pop("valid", 480))
        if min(epoch, valid) < 1:
            raise ValueError("epoch and valid are numbers of samples")
        mix = Mix(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the recipe's options for synthetic data are wrong: {error}") from error
    decode = decoders_of(bank) if mix.decoded else None
    if part == "train":
        keep = [m for m in bank.moments if not held_out(m)]
        twins = Synthetic(bank, contract, mix, recipe.seed, keep, decode)
        return TwinSamples(twins, epoch, located=recipe.dense > 0)
    keep = [m for m in bank.moments if held_out(m, of=all)]
    return TwinSamples(Synthetic(bank, contract, Mix(deepfakes=0.0), 2**31, keep, decode), valid, repeat=True)


def synthesize(
    manifest: Path,
    bank: Path,
    *,
    only: Annotated[str, Parameter(help="Of the manifest, the clips alone whose path starts with this.")] = "",
    stills: Path | None = None,
    face_model: FaceModel = "yunet",
    moments: Annotated[int, Parameter(validator=Number(gte=1))] = 24,
    seed: Seed = 1,
    workers: Workers = 2,
) -> int:
    """Gather a face bank from clips (and photographs), and draw a contact sheet of pseudo-fakes made from it.

    A bank that is gathered anew loses its decoders: run 'flowtell train decoders' again.

    ``flowtell train fit BANK OUT --recipe flowtell`` then trains on pseudo-fakes made on the fly. The landmarks
    of YuNet are needed: 'flowtell models pull yunet', or --face-model FILE.

    Parameters
    ----------
    manifest
        A CSV file with the columns path,label,method,identity,pair, or a folder with real/ and fake/.
    bank
        The folder to make: the faces, and sheet.png with a row of fakes, originals and residuals per method.
    stills
        A manifest CSV of photographs with the columns path,identity: more people.
    moments
        Moments of each clip, evenly spread.
    seed
        What the contact sheet is drawn with.
    workers
        Processes that read clips.
    """
    sources = _sources(manifest, only) + ([] if stills is None else _stills(stills))
    model = face_model_file(face_model)
    if model is None:
        raise DataError("pseudo-fakes need YuNet's landmarks: run 'flowtell models pull yunet', or give --face-model")
    with bar("faces", len(sources)) as on:
        bad = gather(sources, bank, model, moments, workers, on)
    made = Bank(bank)
    if not made.moments:
        raise DataError(f"no face was found in any of the {len(sources)} sources of {manifest}")
    _draw_sheet(made, seed)
    for line in bad:
        say(line)
    print(f"{len(made.moments)} moments of {len(sources) - len(bad)} sources in {bank}; look at {bank / 'sheet.png'}")
    return 0


def decoders(
    bank: Path,
    *,
    steps: Annotated[int, Parameter(validator=Number(gte=1))] = 1200,
    seed: Seed = 0,
) -> int:
    """Train small decoders on a face bank's real faces; they paint many of its pseudo-fakes from then on.

    The faces of people held out are left out here too. Draws the bank's contact sheet anew.

    Parameters
    ----------
    bank
        A folder made by ``flowtell train synthesize``; the decoders are left in it.
    steps
        Batches that each decoder learns from; 1,200 take a quarter of an hour for all on two cores.
    seed
        What weights, batches and the contact sheet are drawn with.
    """
    made = Bank(bank)
    with bar("batches", steps * len(SPECS)) as on:
        count = fit_decoders(made, steps, seed, on)
    _draw_sheet(made, seed)
    print(f"{count} decoders in {bank / DECODERS}; look at {bank / 'sheet.png'}")
    return 0


def _draw_sheet(bank: Bank, seed: int) -> None:
    write_png(contact_sheet(bank, Contract(input="stack", size=112), seed), bank.folder / "sheet.png")


def contact_sheet(bank: Bank, contract: Contract, seed: int) -> Image:
    """A picture for a person to look at: for each method a row of fakes, of originals, and of flow residuals, BGR."""
    twins = Synthetic(bank, contract, Mix(), seed, decode=decoders_of(bank))
    rows = []
    for method in (*METHODS, *(["deepfake"] if any(m.source.label == "fake" for m in bank.moments) else [])):
        made = [twins.twins(i, method)[0] for i in range(SHEET_COLUMNS)]
        rows += [np.hstack([m[k, ..., 2::-1] for m in made]) for k in (0, 1)]
        rows.append(np.hstack([np.repeat(m[0, ..., 5:], 3, axis=2) for m in made]))
    return np.vstack(rows)


def _sources(manifest: Path, only: str) -> list[Source]:
    clips = read_manifest(manifest, only=only, need_both=False)
    return [Source(str(c.path), c.label, "|".join(c.identities), c.method, c.pair) for c in clips]


def _stills(manifest: Path) -> list[Source]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        return [Source(str(manifest.parent / r["path"]), "real", r["identity"] or r["path"], still=True) for r in rows]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest} is not a CSV of photographs with the columns path,identity") from error
