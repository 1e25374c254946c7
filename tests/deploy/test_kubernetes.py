"""The manifests for Kubernetes: sound by its schemas, and by what these can't know."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kvnode import __version__
from kvnode.cli.kv import parser_of
from kvnode.daemon import config

REASON = "the schemas of Kubernetes are not there: bin/setup dev installs them"
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason=REASON)
yaml = pytest.importorskip("yaml", reason=REASON)

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = ROOT / "deploy" / "kubernetes"
#: The oldest that the manifests are meant for has what they say of evictions; and the newest.
VERSIONS = ("1.27", "1.37")
PORTS = {"requests": 7411, "gossip": 7412}
#: What all that concerns the pods must select.
LABELS = {"app.kubernetes.io/name": "kvnode"}
#: By kustomization.yaml.
GENERATED = "kvnode-settings"

#: Not applied with the others.
RESTORE = yaml.safe_load((MANIFESTS / "restore.yaml").read_text())
KUSTOMIZATION = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
OBJECTS = {
    f"{manifest['kind']} {manifest['metadata']['name']}": manifest
    for file in KUSTOMIZATION["resources"]
    for manifest in yaml.safe_load_all((MANIFESTS / file).read_text())
}
STATEFUL_SET = OBJECTS["StatefulSet kvnode"]["spec"]
POD = STATEFUL_SET["template"]["spec"]
(CONTAINER,) = POD["containers"]


def commands():
    """What is run in the container, by when."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield probe, CONTAINER[probe]["exec"]["command"]
    yield "preStop", CONTAINER["lifecycle"]["preStop"]["exec"]["command"]


def parsed(when):
    """A command as kv reads it."""
    program, *arguments = dict(commands())[when]
    assert program == "kv"
    return parser_of(in_shell=False).parse_args(arguments)


def environment(pod):
    """The variables of the container, as the pod of that name gets them."""
    found = {}
    for variable in CONTAINER["env"]:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            found[variable["name"]] = pod
        else:  # earlier ones may stand in it
            value = re.sub(r"\$\((\w+)\)", lambda it: found[it[1]], variable["value"])
            found[variable["name"]] = value
    return found


def settings(pod):
    """The settings of the node in the pod of that name."""
    variables = environment(pod)
    (mount,) = (it for it in CONTAINER["volumeMounts"] if it["name"] == "settings")
    file = Path(variables.pop("KVNODE_CONFIG"))
    assert str(file.parent) == mount["mountPath"]
    return config.load({"config": MANIFESTS / file.name}, variables)


# --- by themselves


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [*OBJECTS, "Pod kvnode-restore"])
def test_kubernetes_takes_it(name, version):
    manifest = OBJECTS.get(name, RESTORE)
    kubernetes_validate.validate(manifest, version, strict=True)


def test_what_kubernetes_does_not_know_would_be_found():
    misspelled = OBJECTS["Service kvnode"] | {"specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelled, VERSIONS[-1], strict=True)


def test_the_kustomization_names_every_file():
    (secret,) = KUSTOMIZATION["secretGenerator"]
    named = {"kustomization.yaml", "restore.yaml", *KUSTOMIZATION["resources"], *secret["files"]}
    assert {file.name for file in MANIFESTS.iterdir()} == named


def test_the_number_of_nodes_is_said_once():
    """An apply brings about what the kustomization says, whatever the manifest says."""
    assert "replicas" not in STATEFUL_SET
    assert [it["name"] for it in KUSTOMIZATION["replicas"]] == ["kvnode"]


def test_the_image_is_of_this_version():
    assert KUSTOMIZATION["images"] == [{"name": CONTAINER["image"], "newTag": __version__}]


# --- together


def test_all_select_the_pods():
    terms = POD["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    policy = OBJECTS["NetworkPolicy kvnode"]["spec"]
    selectors = [
        STATEFUL_SET["selector"]["matchLabels"],
        STATEFUL_SET["template"]["metadata"]["labels"],
        OBJECTS["Service kvnode"]["spec"]["selector"],
        OBJECTS["Service kvnode-peers"]["spec"]["selector"],
        OBJECTS["PodDisruptionBudget kvnode"]["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"],
        policy["egress"][0]["to"][0]["podSelector"]["matchLabels"],
        *(term["podAffinityTerm"]["labelSelector"]["matchLabels"] for term in terms),
    ]
    assert selectors == len(selectors) * [LABELS]


def test_the_ports_are_those_of_the_node_everywhere():
    assert {it["name"]: it["containerPort"] for it in CONTAINER["ports"]} == PORTS
    for name, ports in (("kvnode-peers", PORTS), ("kvnode", {"requests": 7411})):
        declared = OBJECTS[f"Service {name}"]["spec"]["ports"]
        assert {it["name"]: it["port"] for it in declared} == ports
        assert all(it["targetPort"] == it["name"] for it in declared)
    node = settings("kvnode-0")
    assert node.listen == f"tcp://0.0.0.0:{PORTS['requests']}"
    assert node.gossip == f"tcp://0.0.0.0:{PORTS['gossip']}"


def test_peers_reach_both_ports_clients_one_and_nobody_else_any():
    policy = OBJECTS["NetworkPolicy kvnode"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    peers, clients = policy["ingress"]
    assert [it["port"] for it in peers["ports"]] == list(PORTS.values())
    assert [it["port"] for it in clients["ports"]] == [PORTS["requests"]]
    assert clients["from"] == [{"podSelector": {"matchLabels": {"kvnode-client": "true"}}}]
    assert policy["egress"][0]["ports"] == peers["ports"]


def test_peers_find_each_other_before_they_are_ready():
    service = OBJECTS["Service kvnode-peers"]["spec"]
    assert STATEFUL_SET["serviceName"] == "kvnode-peers"
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert STATEFUL_SET["podManagementPolicy"] == "Parallel"


# --- with the node


def test_every_variable_is_a_setting():
    known = {f"KVNODE_{field.name.upper()}" for field in fields(config.Config)}
    assert environment("kvnode-0").keys() <= known | {"KVNODE_CONFIG"}
    assert POD["enableServiceLinks"] is False, "it would add variables"


def test_each_pod_is_a_node_of_its_name_that_is_told_of_all():
    (replicas,) = KUSTOMIZATION["replicas"]
    nodes = [settings(f"kvnode-{number}") for number in range(replicas["count"])]
    assert [node.name for node in nodes] == ["kvnode-0", "kvnode-1", "kvnode-2"]
    assert [node.advertise_gossip for node in nodes] == [
        f"tcp://{node.name}.kvnode-peers:7412" for node in nodes
    ]
    for node in nodes:
        assert node.join == tuple(other.advertise_listen for other in nodes)


def test_data_and_settings_are_where_they_are_mounted():
    mounts = {it["name"]: it["mountPath"] for it in CONTAINER["volumeMounts"]}
    (claim,) = STATEFUL_SET["volumeClaimTemplates"]
    (volume,) = POD["volumes"]
    assert mounts.keys() == {claim["metadata"]["name"], volume["name"]}
    assert str(settings("kvnode-0").data.parent) == mounts["data"]
    (secret,) = KUSTOMIZATION["secretGenerator"]
    assert volume["secret"]["secretName"] == secret["name"] == GENERATED


def test_a_restore_is_made_in_the_volume_of_a_node_as_its_user():
    pod = RESTORE["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    (claim,) = STATEFUL_SET["volumeClaimTemplates"]
    claimed = volume["persistentVolumeClaim"]["claimName"]
    assert claimed == f"{claim['metadata']['name']}-kvnode-0"
    assert container["volumeMounts"] == [CONTAINER["volumeMounts"][0]]
    assert container["image"] == f"{CONTAINER['image']}:{__version__}"
    asked = POD["securityContext"].keys() - {"fsGroupChangePolicy"}
    assert pod["securityContext"] == {it: POD["securityContext"][it] for it in asked}


def test_it_runs_as_the_user_of_the_image():
    image = (ROOT / "Dockerfile").read_text()
    (uid,) = re.findall(r"useradd .*--uid (\d+)", image)
    context = POD["securityContext"]
    assert {context[it] for it in ("runAsUser", "runAsGroup", "fsGroup")} == {int(uid)}


@pytest.mark.parametrize(
    ("probe", "flag"),
    [("startupProbe", "alive"), ("livenessProbe", "alive"), ("readinessProbe", "ready")],
)
def test_a_probe_asks_what_it_is_for_and_gives_up_before_it_is_given_up(probe, flag):
    asked = parsed(probe)
    assert asked.command == "ping" and getattr(asked, flag)
    assert asked.timeout < CONTAINER[probe]["timeoutSeconds"]


def test_a_pod_stops_when_the_others_have_all_or_its_time_is_half_over():
    asked = parsed("preStop")
    assert (asked.command, asked.max) == ("lag", 0)
    assert 0 < asked.within + asked.timeout <= POD["terminationGracePeriodSeconds"] / 2
