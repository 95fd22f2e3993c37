"""Rule files of the acceptance tests."""

HOT = """
id: test-hot
title: 温度过高
sector: food-drug
status: live
on: iot
when: "metric = 'cold_store_temp' AND value > 50"
severity: orange
episode: {by: event_id, quiet: 1s}
department: market-supervision
explain: "{subject_name} {value:.1f} ℃"
basis: test
source: test
runbook: 无
false_positives: [无]
tests:
  - name: hot
    events: [{at: 0m, device_id: d1, metric: cold_store_temp, value: 60.0}]
    expect: [{at: 0m, severity: orange}]
  - name: cold
    events: [{at: 0m, device_id: d1, metric: cold_store_temp, value: 1.0}]
    expect: []
"""

# The same, but judging it needs what the windows of a day hold.
KEPT = HOT.replace(
    "on: iot\n", "on: iot\nfeatures:\n  n_1d: {agg: count, within: 1d}\n  avg_1d: {agg: avg, of: value, within: 1d}\n"
).replace("value > 50", "value > 50 AND n_1d >= 1 AND avg_1d > -1000")

MANY = """
id: test-many
title: 一小时内多次
sector: food-drug
status: live
on: iot
features:
  n_1h: {agg: count, within: 1h, where: "metric = 'cold_store_temp'"}
  sum_1h: {agg: sum, of: value, within: 1h, where: "metric = 'cold_store_temp'"}
when: "metric = 'cold_store_temp' AND n_1h >= 5 AND sum_1h > 10"
severity: {yellow: "true", red: "n_1h >= 20"}
episode: {by: subject, quiet: 2h}
department: market-supervision
explain: "{subject_name} 一小时 {n_1h} 次"
basis: test
source: test
runbook: 无
false_positives: [无]
tests:
  - name: five
    events: [{from: 0m, to: 5m, every: 1m, device_id: d1, metric: cold_store_temp, value: 9.5}]
    expect: [{at: 4m, severity: yellow}]
  - name: one
    events: [{at: 0m, device_id: d1, metric: cold_store_temp, value: 9.5}]
    expect: []
"""

# A device of which nothing is heard for four seconds.
SILENT = """
id: test-silent
title: 设备失联
sector: food-drug
status: live
on: iot
when: "metric = 'heartbeat'"
absence: {within: 4s}
severity: yellow
episode: {by: device_id, quiet: 1s}
department: market-supervision
explain: "{device_id} 自 {occurred_at} 起无数据"
basis: test
source: test
runbook: 无
false_positives: [无]
tests:
  - name: silent
    events: [{at: 0s, device_id: d1, metric: heartbeat, value: 1.0}]
    until: 5s
    expect: [{at: 4s, severity: yellow}]
  - name: not silent
    events: [{from: 0s, to: 9s, every: 3s, device_id: d1, metric: heartbeat, value: 1.0}]
    until: 12s
    expect: []
"""

# And the same of a whole region.
SILENT_REGION = SILENT.replace("test-silent", "test-silent-region").replace(
    "by: device_id, quiet: 1s", "by: region, quiet: 1s"
)

CROWD = """
id: test-crowd
title: 辖区多处过热
sector: food-drug
status: live
on: iot
features:
  n_30m: {agg: count, within: 30m, by: region, where: "metric = 'cold_store_temp' AND value > 50"}
  s_30m: {agg: distinct, of: subject, within: 30m, by: region, where: "metric = 'cold_store_temp' AND value > 50"}
when: "metric = 'cold_store_temp' AND value > 50 AND n_30m >= 3 AND s_30m >= 2"
severity: red
episode: {by: region, quiet: 5m}
department: market-supervision
explain: "{region} 半小时 {s_30m} 家过热 {n_30m} 次"
basis: test
source: test
runbook: 无
false_positives: [无]
tests:
  - name: three at two
    events:
      - {at: 0m, subject: "site:a", region: "320102", device_id: d1, metric: cold_store_temp, value: 60.0}
      - {at: 1m, subject: "site:a", region: "320102", device_id: d1, metric: cold_store_temp, value: 60.0}
      - {at: 2m, subject: "site:b", region: "320102", device_id: d1, metric: cold_store_temp, value: 60.0}
    expect: [{at: 2m, severity: red}]
  - name: one subject
    events:
      - {from: 0m, to: 9m, every: 1m, subject: "site:a", region: "320102", device_id: d1, metric: cold_store_temp, value: 60.0}
    expect: []
"""
