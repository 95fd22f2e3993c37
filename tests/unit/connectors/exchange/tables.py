"""Sample tables of batch exchange: one good row a form, changed as a test needs; a writer that is a list; a batch in a folder."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from prometheus_client import CollectorRegistry

from connectors.exchange import FORMS, Batch, Outcome, Terms, exchange, open_source
from connectors.exchange.metrics import ExchangeMetrics
from connectors.exchange.source import Source
from connectors.metrics import GatewayMetrics
from connectors.producing import BrokerGone, Pair
from tests.unit.connectors import kept
from topics.identifiers import uscc_check_digit

NOW = 1_790_000_000_000
USCC = "91350100M000100Y43"
OFFICE = "11350100003604321" + uscc_check_digit("11350100003604321")
ID_15, ID_18 = "110105491231002", "11010519491231002X"
KEY = b"k" * 32
TERMS = Terms(KEY)

Row = dict[str, str | None]

PENALTY: Row = {
    "CF_XDR_MC": "某某食品有限公司",
    "CF_XDR_LB": "法人及非法人组织",
    "CF_XDR_SHXYM": USCC,
    "CF_FRDB": "张三",
    "CF_FR_ZJLX": None,
    "CF_FR_ZJHM": None,
    "CF_XDR_ZJLX": None,
    "CF_XDR_ZJHM": None,
    "CF_WSH": "烽市监罚〔2026〕1号",
    "CF_WFXW": "未落实进货查验制度",
    "CF_SY": "未查验供货者许可证",
    "CF_YJ": "食品安全法第一百二十六条",
    "CF_CFLB": "罚款",
    "CF_NR": "罚款2000元",
    "CF_NR_FK": "0.2",
    "CF_NR_WFFF": None,
    "CF_NR_ZKDX": None,
    "CF_JDRQ": "2026-03-01",
    "CF_GSJZQ": "2029-03-01",
    "CF_CFJG": "某市市场监督管理局",
    "CF_CFJGDM": OFFICE,
    "CF_SJLY": "某市市场监督管理局",
    "CF_SJLYDM": OFFICE,
}
PENALTY_ZJ: Row = PENALTY | {
    "punish_case_code": "330381001",
    "punish_type": "02",
    "case_process_type": "01",
    "publicstatus": "0",
}
INSPECTION: Row = {
    "supervise_item_implement_code": "33018300001001",
    "supervise_item_check_icode": USCC + "3",
    "check_action_name": "监督检查",
    "check_action_code": "JC1",
    "implement_institution": "某市应急管理局",
    "supervise_object": "某某加油站",
    "administrative_cp": "某某石油有限公司",
    "administrative_cp_na": "企业",
    "administrative_cp_ce_type": "001",
    "administrative_cp_ui_code": USCC,
    "area_number": "320102",
    "check_form": "现场检查",
    "check_type": "双随机",
    "check_result": "不合格",
    "check_date": "2026-03-01 09:30:00",
    "check_personnel": "李四、王五",
    "submitted_date": "2026-03-02 08:00:00",
}
HOTLINE: Row = {
    "工单编号": "GD1",
    "来源渠道": "12345热线",
    "诉求类型": "投诉",
    "紧急程度": "普通",
    "诉求标题": "就餐后呕吐",
    "诉求内容": "反映某饭店就餐后呕吐",
    "诉求人": "赵六",
    "联系电话": "13800001234",
    "被诉对象": "某饭店",
    "被诉对象统一社会信用代码": USCC,
    "事发地区划": "320102",
    "受理时间": "2026-03-01 10:00:00",
    "承办单位": "某区市场监督管理局",
    "问题类别": "疑似食物中毒",
}
GOOD = {"penalty": PENALTY, "penalty-zj": PENALTY_ZJ, "inspection": INSPECTION, "hotline": HOTLINE}
KEYS = {"penalty": "CF_WSH", "penalty-zj": "punish_case_code", "inspection": "check_action_code", "hotline": "工单编号"}


def rows_of(form: str, count: int) -> list[Row]:
    """Good rows, each with a key of its own."""
    return [GOOD[form] | {KEYS[form]: f"K{i}"} for i in range(count)]


@dataclass
class Kept(kept.Kept):
    """With `fails_after`, only so many batches are acknowledged."""

    fails_after: int | None = None
    calls: int = 0

    def submit(self, topic: str, pairs: list[Pair], wait_seconds: float = 0.0) -> Future[int]:
        self.calls += 1
        gone = self.fails_after is not None and self.calls > self.fails_after
        self.failure = BrokerGone("gone") if gone else None
        return super().submit(topic, pairs, wait_seconds)


@dataclass
class House:
    """A folder, a writer, and registries of its own."""

    folder: Path
    writer: Kept = field(default_factory=Kept)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.metrics, self.rules = GatewayMetrics(self.registry), ExchangeMetrics(self.registry)

    @property
    def report(self) -> Path:
        return self.folder / "report.csv"

    def csv(self, rows: list[Row], name: str = "t.csv", encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(pl.DataFrame(rows, infer_schema_length=None).write_csv().encode(encoding))
        return path

    def batch(self, form: str, source: Source, **more: Any) -> Batch:
        given: dict[str, Any] = {
            "writer": self.writer,
            "now_ms": lambda: NOW,
            "metrics": self.metrics,
            "rules": self.rules,
        }
        return Batch(FORMS[form], source, more.pop("terms", TERMS), self.report, **(given | more))

    def run(self, form: str, path: Path | str, **more: Any) -> Outcome:
        return self.run_source(form, open_source(str(path), FORMS[form]), **more)

    def run_source(self, form: str, source: Source, **more: Any) -> Outcome:
        return exchange(self.batch(form, source, **more))

    def entries(self) -> list[dict[str, str]]:
        """The report's lines; headings by their English word."""
        table = pl.read_csv(self.report, infer_schema=False)
        table.columns = ["line", "consequence", "column", "code", "zh", "en", "value"]
        return [{name: value or "" for name, value in row.items()} for row in table.to_dicts()]
