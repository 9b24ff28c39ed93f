"""Keeps passwords out of everything that is shown, logged, raised or written.

A URL's user name and password go, and so do the values of query parameters that are named like secrets. Where
it is not clear what belongs to the password, more is taken out rather than less.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_SECRET = r"(?:pass|pwd|psw|secret|token|key|auth|sig|cred|session|code|pin|login|user)[\w.-]*="
_URL_SECRET = re.compile(rf"({_SECRET})[^&]*", re.IGNORECASE)
_TEXT_SECRET = re.compile(rf"({_SECRET})[^&\s]*", re.IGNORECASE)
# With a single slash as well, where it is meant for an address: paths lose the second one.
_TEXT_USER = re.compile(r"([a-z][a-z0-9+.-]*://|(?:rtsps?|https?):/?)\S*@", re.IGNORECASE)


def redact_url(url: str) -> str:
    """One URL (the whole text, whatever characters are in it) without its user, password and secret parameters.

    Everything up to the last @ counts as user and password, because passwords with unescaped / ? # @ occur.
    """
    scheme, separator, rest = _URL_SECRET.sub(rf"\1{HIDDEN}", url).partition("://")
    _, at, where = rest.rpartition("@")
    return f"{scheme}{separator}{HIDDEN}@{where}" if at else f"{scheme}{separator}{where}"


def redact(text: str, *urls: str) -> str:
    """Free text without the passwords of any URL in it; ``urls`` are those that are known to occur, taken out whole."""
    for url in urls:
        text = text.replace(url, redact_url(url))
    return _TEXT_SECRET.sub(rf"\1{HIDDEN}", _TEXT_USER.sub(rf"\1{HIDDEN}@", text))
