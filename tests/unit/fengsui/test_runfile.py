"""The run file: found while its engine lives, never after, and never against a given setting."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from fengsui.runfile import Run, published, read_run, run_path, with_run, write_run
from fengsui.settings import Settings


@pytest.fixture
def engine(tmp_path: Path) -> Settings:
    return Settings(kafka="127.0.0.1:1", redis_url=SecretStr("redis://:pw@127.0.0.1:2/0"), data_dir=tmp_path)


def test_what_is_written_is_read(engine: Settings) -> None:
    """The file gives back what was written, and no scratch file stays beside it."""
    run = Run.of(engine, http="http://127.0.0.1:3", metrics="http://127.0.0.1:4")
    write_run(engine, run)
    assert read_run(engine) == run
    assert [path.name for path in engine.data_dir.iterdir()] == ["run.json"]


def test_only_its_user_may_read_it(engine: Settings) -> None:
    """The Redis password in it is for this user alone, whatever the umask; and repr does not show it."""
    before = os.umask(0)
    try:
        write_run(engine, Run.of(engine))
    finally:
        os.umask(before)
    assert stat.S_IMODE(run_path(engine).stat().st_mode) == 0o600
    assert "pw" not in repr(read_run(engine))


def test_no_file_no_engine(tmp_path: Path) -> None:
    """Where nothing was written, nothing runs and settings stay as they are."""
    settings = Settings(data_dir=tmp_path)
    assert read_run(settings) is None
    assert with_run(settings) is settings


def test_a_dead_engine_is_ignored(engine: Settings) -> None:
    """A file whose process has ended is as good as none."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write_run(engine, replace(Run.of(engine), pid=child.pid))
    assert read_run(engine) is None


def test_a_recycled_pid_is_not_the_engine(engine: Settings) -> None:
    """A living process with the same id that started at another time is somebody else."""
    write_run(engine, replace(Run.of(engine), started=Run.of(engine).started - 3600))
    assert read_run(engine) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kafka": 1}', "null"])
def test_a_torn_file_is_ignored(engine: Settings, text: str) -> None:
    """A file that cannot be understood is no engine, and no crash."""
    run_path(engine).write_text(text)
    assert read_run(engine) is None


def test_addresses_are_found(engine: Settings) -> None:
    """Another command in the same directory gets every address from the file."""
    write_run(engine, Run.of(replace_prefix(engine, "x.")))
    found = with_run(Settings(data_dir=engine.data_dir))
    assert (found.kafka, found.redis_url.get_secret_value()) == ("127.0.0.1:1", "redis://:pw@127.0.0.1:2/0")
    assert (found.topic_prefix, found.archive_dir) == ("x.", (engine.data_dir / "archive").resolve())


def replace_prefix(settings: Settings, prefix: str) -> Settings:
    return settings.model_copy(update={"topic_prefix": prefix})


def test_given_settings_win(engine: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FENGSUI_ variable is stronger than the file; the rest is still taken from it."""
    write_run(engine, Run.of(engine))
    monkeypatch.setenv("FENGSUI_KAFKA", "real:9092")
    found = with_run(Settings(data_dir=engine.data_dir))
    assert found.kafka == "real:9092"
    assert found.redis_url.get_secret_value().endswith(":2/0")


def test_published_for_the_block(engine: Settings) -> None:
    """The file is there inside the block and gone after it, also when the block fails."""

    def failing() -> None:
        with published(engine, Run.of(engine)):
            assert read_run(engine) is not None
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert not run_path(engine).exists()


def test_another_engines_file_is_left(engine: Settings) -> None:
    """When another engine has written its own file meanwhile, leaving the block does not take it away."""
    with published(engine, Run.of(engine)):
        write_run(engine, Run.of(engine, http="http://127.0.0.1:9"))
    written = json.loads(run_path(engine).read_text())
    assert written == asdict(Run.of(engine, http="http://127.0.0.1:9"))
