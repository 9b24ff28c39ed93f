"""Which group of generators a manifest's method belongs to."""

from __future__ import annotations

import re

LIVE_SWAP, FACE_SWAP, REENACTMENT, LIP_SYNC, PSEUDO, OTHER = (
    "live swap",
    "face swap",
    "reenactment",
    "lip sync",
    "pseudo-fake",
    "other",
)

# Longest match of a beginning wins, so that "deepfacelive" is not taken for a "deepface...".
_METHODS: dict[str, tuple[str, ...]] = {
    LIVE_SWAP: ("deepfacelive", "deeplivecam", "rooplive", "liveswap"),
    FACE_SWAP: (
        "blendface",
        "celebdf",
        "celebsynthesis",
        "deepfacelab",
        "deepfakes",
        "deepfaketimit",
        "diffface",
        "diffswap",
        "dfl",
        "e4s",
        "facedancer",
        "facefusion",
        "faceshifter",
        "faceswap",
        "facexswap",
        "fsgan",
        "ghost",
        "hififace",
        "inswapper",
        "megafs",
        "mobilefaceswap",
        "reface",
        "roop",
        "rope",
        "sberswap",
        "simswap",
        "uniface",
        "visomaster",
    ),
    # Whole faces moved by another's motion or by speech: every pixel of the face is generated.
    REENACTMENT: (
        "aniportrait",
        "anitalker",
        "articulatedanimation",
        "dagan",
        "dawn",
        "ditto",
        "dreamtalk",
        "echomimic",
        "edtalk",
        "emo",
        "emoportraits",
        "face2face",
        "facevid2vid",
        "fadm",
        "firstordermotion",
        "float",
        "followyouremoji",
        "fomm",
        "hallo",
        "hyperreenact",
        "joyvasa",
        "lia",
        "liveportrait",
        "makeittalk",
        "mcnet",
        "megactor",
        "metaportrait",
        "mraa",
        "musev",
        "neuraltextures",
        "onetalker",
        "pirenderer",
        "real3dportrait",
        "s2gmddiffusion",
        "sadtalker",
        "skyreels",
        "sonic",
        "styleheat",
        "styletalk",
        "thinplatespline",
        "tpsm",
        "tpsmm",
        "vasa",
        "vexpress",
        "xnemo",
        "xportrait",
    ),
    # Only the mouth of a real video is made anew.
    LIP_SYNC: (
        "diff2lip",
        "dinet",
        "easywav2lip",
        "iplap",
        "keysync",
        "latentsync",
        "lipgan",
        "musetalk",
        "retalking",
        "stylesync",
        "talklip",
        "videoretalking",
        "wav2lip",
    ),
    PSEUDO: ("pseudo", "selfblend"),
}
_BY_NAME = {name: group for group, names in _METHODS.items() for name in names}


def group_of(method: str) -> str:
    """The group of a method, ``other`` for one that is not known; ``deepfacelive(dfm)`` is a live swap."""
    name = re.sub(r"[^a-z0-9]", "", re.split(r"[+(]", method.lower())[0])
    known = max((n for n in _BY_NAME if name.startswith(n)), key=len, default=None)
    return OTHER if known is None else _BY_NAME[known]
