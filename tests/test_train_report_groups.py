import pytest

from train.report.groups import FACE_SWAP, LIP_SYNC, LIVE_SWAP, OTHER, PSEUDO, REENACTMENT, group_of


@pytest.mark.parametrize(
    ("method", "group"),
    [
        ("deepfacelive(dfm)", LIVE_SWAP),
        ("Deep-Live-Cam", LIVE_SWAP),
        ("Deepfakes", FACE_SWAP),
        ("inswapper_128", FACE_SWAP),
        ("Face2Face", REENACTMENT),
        ("edtalk+facesr", REENACTMENT),
        ("dreamtalk+metaportrait_sr", REENACTMENT),
        ("wav2lip_288", LIP_SYNC),
        ("pseudo: self_blend", PSEUDO),
    ],
)
def test_a_method_belongs_to_its_group_whatever_its_spelling(method: str, group: str) -> None:
    assert group_of(method) == group


@pytest.mark.parametrize("method", ["", "a generator of tomorrow"])
def test_an_unknown_method_falls_in_other(method: str) -> None:
    assert group_of(method) == OTHER
