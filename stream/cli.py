"""The ``flowtell`` command. Every subcommand is found by name and imported only when it is called."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError

from .commands.options import say
from .errors import FlowtellError, MissingExtra, OutputError, UsageError

TRAIN = frozenset(
    ("torch", "torchvision", "onnx", "onnxscript", "lightning", "lightning_fabric", "sklearn", "scipy", "matplotlib")
)
"""Packages that the extra ``train`` brings."""

_NOT_WRITTEN = frozenset((errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

app = App(
    name="flowtell",
    help="Watch live video and say, for every face in it, whether it looks real or fake.",
    version=version("flowtell"),
    result_action="return_value",
)
app.command("stream.commands.watch:watch", name="watch", help="Watch cameras, streams, the screen or files, live.")
app.command("stream.commands.check:check", name="check", help="Judge recorded files, with nothing dropped.")
app.command("stream.commands.demo:demo", name="demo", help="Watch the bundled clip with the bundled model.")
app.command("stream.commands.doctor:doctor", name="doctor", help="Tell what works here, and how to mend the rest.")
app.command("stream.commands.models:app", name="models", help="Pull and list optional model files.")
app.command("train.cli:app", name="train", help="Prepare data, fit a network, evaluate it (extra: train).")
app.command("export.cli:app", name="export", help="Turn a checkpoint into a model file (extra: train).")
app.command("export.reproduce:reproduce", name="reproduce", help="Make the bundled model again (extra: train).")
app.command("stream.bench.cli:app", name="bench", help="Measure speed, latency, and how many cameras fit.")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: see ``stream.errors``; 130 after Ctrl-C, 143 after SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text at all
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _not_written(error)
        # the interpreter must not try again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
    except FlowtellError as error:
        say(str(error))
        return error.exit_code
    except CycloptsError as error:
        say(f"{' '.join(str(error).split())} (see flowtell --help)")
        return UsageError.exit_code
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        return _not_written(error)
    except ImportError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        say(str(missing))
        return missing.exit_code
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0


def _not_written(error: OSError) -> int:
    gone = error.errno == errno.EPIPE
    say("whoever read the output has gone" if gone else f"the output cannot be written: {error.strerror}")
    return OutputError.exit_code


def missing_extra(error: BaseException | None) -> MissingExtra | None:
    """What to install where an optional package is missing somewhere in the chain of causes; else None."""
    while error is not None:
        package = (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and package in TRAIN:
            return MissingExtra(f"this command needs {package}, which is not installed: pip install 'flowtell[train]'")
        error = error.__cause__
    return None


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)  # through every finally, so that recordings are finished


if __name__ == "__main__":
    main()
