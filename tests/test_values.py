import pytest

from agent.values import Bytes, RelativePath, Secret, convert


@pytest.mark.parametrize(
    ("text", "size"),
    [("200 MB", 200_000_000), ("1.5 GB", 1_500_000_000), ("0 B", 0), ("12kB", 12_000), (" 3 TB ", 3_000_000_000_000)],
)
def test_sizes_are_written_with_their_unit(text: str, size: int) -> None:
    assert convert(Bytes, text) == size


@pytest.mark.parametrize("value", ["200", "200 mb", "MB", "", "-1 MB", 200, None, "1 MiB"])
def test_what_is_no_size_is_refused_with_how_to_write_one(value: object) -> None:
    with pytest.raises(ValueError, match=r'as in "200 MB"'):
        convert(Bytes, value)


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("correct horse")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}"):
        assert "horse" not in shown
    assert secret.reveal() == "correct horse"
    assert secret == Secret("correct horse")
    assert secret != Secret("other")


def test_a_secret_does_not_stand_in_the_file() -> None:
    with pytest.raises(ValueError, match="name a file") as error:
        convert(Secret, "correct horse")
    assert "horse" not in str(error.value)


@pytest.mark.parametrize("value", ["", 3, None])
def test_a_path_is_a_text(value: object) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        convert(RelativePath, value)
