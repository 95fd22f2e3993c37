import time, threading, os, gc
import pytest, structlog
from fengsui.settings import Settings
from tests.acceptance.toy import *
from tests.acceptance.test_task import numbers, at_end

pytestmark = pytest.mark.broker


def rdk():
    n = 0
    for t in os.listdir("/proc/self/task"):
        try:
            if open(f"/proc/self/task/{t}/comm").read().startswith("rdk:main"):
                n += 1
        except OSError:
            pass
    return n


def test_leak(settings: Settings) -> None:
    with open_bench(settings) as bench:
        base = rdk()
        t1 = bench.task(batch_rows=50)
        t2 = bench.task(batch_rows=50)
        for i in range(0, 2000, 100):
            bench.send(numbers(i, i + 100))
            time.sleep(0.2)
        at_end(bench, 2000)
        print("rdk", base, rdk())
        for t in (t1, t2):
            t.stop()
            t.join(30)
        time.sleep(3)
        gc.collect()
        print("after stop", rdk())
        producers = [o for o in gc.get_objects() if type(o).__name__ == "Producer"]
        print(len(producers))
