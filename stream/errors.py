"""Every exception flowtell raises on purpose, and the exit code the command line gives for it.

    FlowtellError                1
    ├── UsageError               2   an option or argument that cannot be meant
    ├── SourceError              3   a camera, stream or file that cannot be read
    │   ├── SourceNotFound       3   no such file, camera, host or stream path
    │   ├── SourceRefused        3   connection refused, wrong password, busy device
    │   └── SourceBroken         3   not a video, or damaged beyond reading
    ├── NoFaceError              4   a video in which no face could be scored
    ├── ModelError               5   a model file that cannot be used
    │   └── ContractError        5   a model whose contract is missing, unknown or violated
    ├── DeviceError              6   the device asked for (CUDA) is not there
    ├── OutputError              7   disk full, unwritable path, closed pipe
    ├── DataError                8   a manifest, data set or pair store of the wrong shape
    └── MissingExtra             9   a command whose optional packages are not installed

Messages are one sentence that says what is wrong and what to do; they never hold a password.
"""


class FlowtellError(Exception):
    """Anything flowtell refuses to do; ``exit_code`` is what the command line leaves with."""

    exit_code = 1


class UsageError(FlowtellError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class SourceError(FlowtellError):
    """A camera, stream or file that cannot be read."""

    exit_code = 3


class SourceNotFound(SourceError):
    """No such file, camera, host or stream path."""


class SourceRefused(SourceError):
    """Connection refused, wrong password or a busy device."""


class SourceBroken(SourceError):
    """Not a video, or damaged beyond reading."""


class NoFaceError(FlowtellError):
    """A video in which no face could be scored."""

    exit_code = 4


class ModelError(FlowtellError):
    """A model file that cannot be used."""

    exit_code = 5


class ContractError(ModelError):
    """A model whose preprocessing contract is missing, unknown or violated."""


class DeviceError(FlowtellError):
    """The device asked for is not there."""

    exit_code = 6


class OutputError(FlowtellError):
    """Something could not be written: disk full, unwritable path, closed pipe."""

    exit_code = 7


class DataError(FlowtellError):
    """A manifest, data set or pair store of the wrong shape."""

    exit_code = 8


class MissingExtra(FlowtellError):
    """A command whose optional packages are not installed."""

    exit_code = 9
