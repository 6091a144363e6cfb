"""What stands in deploy/ fits together and fits the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from serving.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"


def _documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def _serve_config() -> dict[str, Any]:
    (config,) = _documents("serve.yaml")
    return dict(config)


def _ray_service() -> dict[str, Any]:
    (service,) = (one for one in _documents("rayservice.yaml") if one["kind"] == "RayService")
    return dict(service["spec"])


def _kubernetes_config() -> dict[str, Any]:
    return dict(yaml.safe_load(_ray_service()["serveConfigV2"]))


def _pods() -> list[dict[str, Any]]:
    cluster = _ray_service()["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_every_file_is_yaml_with_something_in_it(path: Path) -> None:
    assert all(_documents(str(path.relative_to(DEPLOY))))


@pytest.mark.parametrize("config", [_serve_config(), _kubernetes_config()])
def test_ray_serve_takes_the_config_and_the_settings_its_arguments(config: dict[str, Any]) -> None:
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert application.import_path == "serving.application:build"
    assert [one.name for one in application.deployments] == ["Classifier", "Learner"]
    assert Settings(**application.args).engine == "ray"


def test_kubernetes_runs_the_same_application_on_gpus() -> None:
    (ours,) = _serve_config()["applications"]
    (theirs,) = _kubernetes_config()["applications"]
    assert theirs["deployments"][0]["ray_actor_options"].pop("num_gpus") == 1
    assert theirs["args"].pop("host") != ours["args"].pop("host")
    assert theirs == ours


@pytest.mark.parametrize("config", [_serve_config(), _kubernetes_config()])
def test_the_application_knows_where_its_proxy_listens(config: dict[str, Any]) -> None:
    """Otherwise callers from elsewhere would count as local, and could teach without a key."""
    (application,) = config["applications"]
    assert application["args"]["host"] == config["http_options"]["host"]


def test_nobody_but_this_machine_reaches_a_server_without_keys() -> None:
    assert _serve_config()["http_options"]["host"] == "127.0.0.1"
    for pod in _pods():
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "perennial-keys"}}]


def test_every_pod_shares_the_store_and_speaks_through_haproxy() -> None:
    (claim,) = (one for one in _documents("rayservice.yaml") if "storageClassName" in str(one))
    (application,) = _kubernetes_config()["applications"]
    for pod in _pods():
        (container,) = pod["containers"]
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert container["volumeMounts"][0]["mountPath"] == application["args"]["store"]
        assert {"name": "RAY_SERVE_ENABLE_HA_PROXY", "value": "1"} in container["env"]
        assert {"readinessProbe", "livenessProbe"} <= set(container)


def test_workers_hold_what_the_replicas_ask_for() -> None:
    worker = _pods()[1]["containers"][0]["resources"]["requests"]
    (application,) = _kubernetes_config()["applications"]
    options = [one["ray_actor_options"] for one in application["deployments"]]
    assert int(worker["cpu"]) >= sum(one["num_cpus"] for one in options)
    assert int(worker["nvidia.com/gpu"]) >= options[0]["num_gpus"]


def test_prometheus_scrapes_the_server_that_compose_starts() -> None:
    (compose,) = _documents("compose.yaml")
    (prometheus,) = _documents("prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    host, port = job["static_configs"][0]["targets"][0].split(":")
    assert f"127.0.0.1:{port}:{port}" in compose["services"][host]["ports"]
    (secret,) = compose["services"]["prometheus"]["secrets"]
    assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
    assert secret in compose["secrets"]
    volumes = dict(one.split(":")[:2] for one in compose["services"]["prometheus"]["volumes"])
    assert volumes.pop("metrics")
    for source, target in volumes.items():
        assert (DEPLOY / source).is_file()
        assert Path(target) == Path("/etc/prometheus", source)
