from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import SettingsError
from journeyman.core.settings import FILE_NAME, TABLE, Setting, cache_folder, load_project, open_project


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / FILE_NAME
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _error(folder: Path) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_project(folder)
    return caught.value


def test_an_empty_file_gives_every_default(tmp_path: Path) -> None:
    _write(tmp_path, "")
    project = load_project(tmp_path)
    assert {key: setting.value for key, setting in project.settings.items()} == {
        key: default for key, (default, _) in TABLE.items()
    }
    assert {setting.origin for setting in project.settings.values()} == {"default"}
    assert project.store_url == f"sqlite:///{tmp_path / '.journeyman' / 'journeyman.db'}"


def test_a_value_of_the_file_wins_and_says_so(tmp_path: Path) -> None:
    _write(tmp_path, '[teacher]\nmodel = "large"\ninput_usd_per_million = 2\n[store]\nurl = "sqlite:///x.db"\n')
    project = load_project(tmp_path)
    assert project.get("teacher", "model") == Setting("large", "file")
    assert project.get("teacher", "url").origin == "default"
    assert project.number("teacher", "input_usd_per_million") == 2
    assert project.number("teacher", "output_usd_per_million") is None
    assert project.store_url == "sqlite:///x.db"


def test_the_project_is_found_from_a_folder_below(tmp_path: Path) -> None:
    _write(tmp_path, "")
    below = tmp_path / "tasks" / "deep"
    below.mkdir(parents=True)
    project = open_project(below)
    assert project.root == tmp_path.resolve()
    assert project.tasks == project.root / "tasks"
    assert (project.blobs.parent, project.runs.parent, project.releases.parent) == (project.state,) * 3


def test_no_project_anywhere(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        open_project(tmp_path)
    assert str(caught.value) == (
        f"JM-101 {tmp_path.resolve()}: there is no Journeyman project here\n"
        "  expected: a journeyman.toml in this folder or one above it\n"
        "  next: run `journeyman init`"
    )


def test_broken_toml_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = _write(tmp_path, "[teacher]\nmodel = large\n")
    error = _error(tmp_path)
    assert str(error) == (
        f"JM-102 {path}: this file is not valid TOML\n  got: Invalid value (at line 2, column 9)\n{_next(error)}"
    )


def _next(error: SettingsError) -> str:
    assert error.hint
    return f"  next: {error.hint}"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = _write(tmp_path, b"[teacher]\nmodel = '\xff'\n")
    error = _error(tmp_path)
    assert error.code == "JM-102"
    assert error.where == str(path)
    assert error.got == "'utf-8' codec can't decode byte 0xff in position 19: invalid start byte"


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    _write(tmp_path, b"\xef\xbb\xbf[serve]\r\nport = 9000\r\n")
    assert load_project(tmp_path).get("serve", "port") == Setting(9000, "file")


KNOWN = ", ".join(f"{section}.{key}" for section, key in TABLE)


@pytest.mark.parametrize(
    ("text", "line", "key", "hint"),
    [
        ('[teacher]\n\n# the model\nmodell = "x"\n', 4, "teacher.modell", "did you mean teacher.model?"),
        ('teacher.modell = "x"\n', 1, "teacher.modell", "did you mean teacher.model?"),
        ("[server]\nport = 1\n", 1, "server", "did you mean serve.port?"),
        ("[zzz]\n", 1, "zzz", "remove it"),
        ('\nzzz = "x"\n', 2, "zzz", "remove it"),
        ("[serve]\n[[teacher]]\nmodel = 'x'\n", None, "teacher", "did you mean teacher.url?"),
    ],
)
def test_an_unknown_key(tmp_path: Path, text: str, line: int | None, key: str, hint: str) -> None:
    path = _write(tmp_path, text)
    where = f"{path}:{line}" if line else str(path)
    assert str(_error(tmp_path)) == (
        f"JM-103 {where}: unknown setting {key}\n  expected: one of {KNOWN}\n  got: {key}\n  next: {hint}"
    )


@pytest.mark.parametrize(
    ("text", "key", "expected", "got"),
    [
        ('[serve]\nport = "80"\n', "serve.port", "a number", "'80'"),
        ("[serve]\nport = 80.5\n", "serve.port", "a whole number", "80.5"),
        ("[serve]\nport = true\n", "serve.port", "a number", "True"),
        ("[serve]\nhost = 1\n", "serve.host", "text", "1"),
        ("[prepare]\ntest_share = nan\n", "prepare.test_share", "a number", "nan"),
        ("[prepare]\ntest_share = inf\n", "prepare.test_share", "a number", "inf"),
        ('[teacher]\ninput_usd_per_million = "2"\n', "teacher.input_usd_per_million", "a number", "'2'"),
        ("[teacher]\nmodel = ['a']\n", "teacher.model", "text", "['a']"),
        ("[teacher]\nmodel = 2026-11-21\n", "teacher.model", "text", "datetime.date(2026, 11, 21)"),
    ],
)
def test_a_wrong_type(tmp_path: Path, text: str, key: str, expected: str, got: str) -> None:
    path = _write(tmp_path, text)
    assert str(_error(tmp_path)) == (
        f"JM-104 {path}:2: the setting {key} has a value that it cannot have\n  expected: {expected}\n  got: {got}\n"
        "  next: correct the value, or remove the line to get the default"
    )


TOML_VALUES = st.sampled_from(["1", "0.5", "'a'", "true", "[1]", "{a=1}", "nan", "1979-05-27", "-3"])


@given(st.sampled_from([*TABLE, ("teacher", "colour"), ("oven", "heat")]), TOML_VALUES)
def test_every_setting_takes_a_value_or_gives_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, name: tuple[str, str], value: str
) -> None:
    folder = tmp_path_factory.mktemp("setting")
    path = _write(folder, f"[{name[0]}]\n{name[1]} = {value}\n")
    try:
        setting = load_project(folder).get(*name)
    except SettingsError as error:
        refusal = error
    else:
        assert setting == Setting(tomllib.loads(f"x = {value}")["x"], "file")
        return
    assert refusal.code in ("JM-103", "JM-104")
    assert refusal.where in (f"{path}:1", f"{path}:2")
    assert all((refusal.expected, refusal.got, refusal.hint))


def test_every_setting_is_explained() -> None:
    assert all(text and not text.endswith(".") for _, text in TABLE.values())


def test_a_setting_in_json_says_where_it_came_from() -> None:
    assert Setting(3, "derived", "96 rows").to_json() == {"value": 3, "origin": "derived", "reason": "96 rows"}
    assert Setting(None, "default").to_json() == {"value": None, "origin": "default"}


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JOURNEYMAN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "journeyman"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "journeyman"
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_a_setting_of_two_words_takes_no_third(tmp_path: Path) -> None:
    _write(tmp_path, '[store]\ndurability = "often"\n')
    with pytest.raises(SettingsError, match="JM-104") as caught:
        load_project(tmp_path)
    assert (caught.value.expected, caught.value.got) == ("wal | full", "'often'")
