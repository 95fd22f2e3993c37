"""`fengsui evidence`: pictures that are intact, missing, changed."""

import asyncio
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from connectors.gateway.pictures import Pictures
from connectors.metrics import GatewayMetrics
from connectors.simulate.gat1400 import picture
from fengsui.cli import main


def test_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 while every picture asked for has its hash; 1 where one is missing or changed; 2 where none is named."""
    store = Pictures(tmp_path, metrics=GatewayMetrics(CollectorRegistry()))
    first, second = (asyncio.run(store.keep(picture(seed))).reference for seed in ("a", "b"))
    store.close()
    where = ["--pictures", str(tmp_path), "--json"]
    main(["evidence", first, second, *where])
    assert json.loads(capsys.readouterr().out) == {"pictures": 2, "intact": 2, "bad": {}}
    path = store.find(second)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    for asked in (["--all"], [first, second]):
        with pytest.raises(SystemExit) as left:
            main(["evidence", *asked, *where])
        assert left.value.code == 1
        told = json.loads(capsys.readouterr().out)
        assert (told["pictures"], told["intact"], list(told["bad"].values())) == (2, 1, ["changed"])
    with pytest.raises(SystemExit) as left:
        main(["evidence", "0" * 64, *where])
    assert left.value.code == 1
    assert json.loads(capsys.readouterr().out)["bad"] == {"0" * 64: "missing"}
    with pytest.raises(SystemExit) as left:
        main(["evidence", *where])
    assert left.value.code == 2
