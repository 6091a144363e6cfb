"""Alerts and dashboard: every expression is PromQL, and asks for what is measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql_parser import AggregateExpr, Expr, VectorSelector, parse, parse_duration, walk

from serving.metrics import METRICS, Metric

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_SCRAPES = {"job", "instance", "replica"}  # labels that Prometheus and Ray add
EITHER_ENGINE = re.compile(r"\(ray_\)\?perennial_\w+")


def alert_rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def _dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana" / "perennial.json").read_text()))


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in _dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for rule in alert_rules():
        yield rule["expr"]
    for panel in _panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m")


def _exported() -> dict[str, Metric]:
    """Metrics by each name that Prometheus knows them by in the local engine."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        name + suffix: metric
        for name, metric in METRICS.items()
        for suffix in suffixes[metric.kind]
    }


@dataclass
class Asked:
    """selectors: names with the labels that are matched; labels: what is grouped by."""

    selectors: list[tuple[str, set[str]]]
    labels: set[str]


def _asked(expression: str) -> Asked:
    asked = Asked([], set())

    def visit(part: Expr) -> None:
        if isinstance(part, VectorSelector):
            matchers = {one.name: one.value for one in part.matchers.matchers}
            asked.selectors.append((part.name or matchers.pop("__name__"), set(matchers)))
        elif isinstance(part, AggregateExpr) and part.modifier:
            asked.labels.update(part.modifier.labels)

    walk(parse(expression), visit)
    return asked


@pytest.mark.parametrize("expression", list(expressions()))
def test_expressions_ask_both_engines_for_what_is_measured(expression: str) -> None:
    asked, known = _asked(expression), OF_SCRAPES.copy()
    assert asked.selectors
    for name, matched in asked.selectors:
        if name == "up":
            continue
        assert EITHER_ENGINE.fullmatch(name), name
        exported = name.removeprefix("(ray_)?")
        labels = {*_exported()[exported].labels, *OF_SCRAPES}
        assert matched <= labels
        known |= labels | ({"le"} if exported.endswith("_bucket") else set())
    assert asked.labels <= known


def test_what_all_replicas_measure_alike_is_not_summed_over_them() -> None:
    shared = {name for name, metric in _exported().items() if metric.shared}
    assert shared
    for expression in expressions():
        asked = {name.removeprefix("(ray_)?") for name, _ in _asked(expression).selectors}
        assert not (asked & shared and "sum" in expression), expression


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is() -> None:
    rules = alert_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert parse_duration(rule["for"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_panels_have_their_own_numbers_and_places_and_the_chosen_source() -> None:
    identities = [panel["id"] for panel in _dashboard()["panels"]]
    assert len(set(identities)) == len(identities)
    taken: set[tuple[int, int]] = set()
    for panel in _panels():
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-ray.yml"])
def test_prometheus_loads_the_alerts(name: str) -> None:
    (rules,) = yaml.safe_load((DEPLOY / name).read_text())["rule_files"]
    assert (DEPLOY / rules).is_file()


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounted = dict(one.split(":")[:2] for one in services["grafana"]["volumes"])
    assert all((DEPLOY / source).is_file() for source in mounted)
    (source,) = yaml.safe_load((DEPLOY / "grafana/datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((DEPLOY / "grafana/dashboards.yml").read_text())["providers"]
    assert Path(mounted["./grafana/perennial.json"]).parent == Path(provider["options"]["path"])
