"""Checks the Helm chart with Helm's own renderer: it lints, renders in every form, and refuses wrong values; what it
renders fits Kubernetes' schemas, and keeps the promises that no schema knows.

    python3 chart.py CHART
"""

import sys

import kubernetes_validate
import yaml

# Kinds whose schemas Kubernetes does not bring, and fields that they must have (KEDA 2.x, Prometheus operator).
FOREIGN = {
    "ScaledObject": ("scaleTargetRef", "triggers", "minReplicaCount", "maxReplicaCount"),
    "TriggerAuthentication": ("secretTargetRef",),
    "ServiceMonitor": ("selector", "endpoints"),
}

FORMS = {
    "as it comes": {},
    "no TLS, CPUs": {"tls": {"insecure": True}, "worker": {"gpus": 0}},
    "KEDA and Prometheus": {"keda": {"enabled": True}, "serviceMonitor": {"enabled": True, "labels": {"a": "b"}}},
    "KEDA without TLS": {"keda": {"enabled": True}, "tls": {"insecure": True}},
    "everything": {
        "image": {"repository": "example.org/tessera", "tag": "1", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "coordinator": {
            "databaseSecret": "db",
            "artifacts": "s3://bucket/tessera",
            "environmentSecret": "aws",
            "flags": ["--checkpoint=10"],
            "storage": {"className": "fast"},
            "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
            "nodeSelector": {"a": "b"},
            "affinity": {"nodeAffinity": {}},
        },
        "worker": {
            "gpus": 8,
            "runtimeClassName": "nvidia",
            "model": {"existingClaim": "models", "path": "sd/my-model"},
            "nodeSelector": {"a": "b"},
        },
        "keda": {"enabled": True, "clientCertificateSecret": "keda-client"},
        "serviceMonitor": {"enabled": True},
    },
}

REFUSED = {
    "a worker is killed before it has drained": {"worker": {"terminationGracePeriodSeconds": 30}},
    "a flag that is none": {"worker": {"flags": ["rm -rf /"]}},
    "a model outside the claim": {"worker": {"model": {"path": "../../etc"}}},
    "an absolute model path": {"worker": {"model": {"path": "/etc"}}},
    "a word that is not known": {"worker": {"gpu": 1}},
    "no TLS Secret": {"tls": {"secret": ""}},
    "a count that is text": {"keda": {"maxReplicas": "many"}},
}


def promise(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"the chart breaks a promise: {what}")


def documents(chart, values: dict) -> list[dict]:
    rendered = chart.render(values, name="farm", namespace="prod")
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def fits(document: dict) -> None:
    kind = document["kind"]
    if kind in FOREIGN:
        promise(all(field in document["spec"] for field in FOREIGN[kind]), f"{kind} has {FOREIGN[kind]}")
        return
    try:
        kubernetes_validate.validate(document, "1.34", strict=True)
    except kubernetes_validate.ValidationError as error:
        sys.exit(f"{kind} {document['metadata']['name']}: {error}")


def keeps_promises(values: dict, found: list[dict]) -> None:
    by_kind = {document["kind"]: document for document in found}
    worker = by_kind["Deployment"]["spec"]
    pod = worker["template"]["spec"]
    container = pod["containers"][0]
    coordinator = by_kind["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    insecure = values.get("tls", {}).get("insecure", False)
    gpus = values.get("worker", {}).get("gpus", 1)

    promise(65 <= pod["terminationGracePeriodSeconds"], "a worker has time to drain")
    promise("lifecycle" not in container, "SIGTERM itself drains a worker")
    promise(container["resources"]["limits"].get("nvidia.com/gpu", 0) == gpus, "a worker gets its GPUs")
    promise(f"--device={'auto' if gpus else 'cpu'}" in container["args"], "a worker serves its devices")
    secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    ca = [secret for secret in secrets if secret["secretName"] == "tessera-tls"]
    promise(all([item["key"] for item in secret["items"]] == ["ca.pem"] for secret in ca), "workers see no private key")
    if values.get("coordinator", {}).get("databaseSecret"):
        names = [variable["name"] for variable in coordinator["env"]]
        promise("TESSERA_DATABASE" in names, "the database's password is in no argument that others can read")
    promise(("--insecure" in coordinator["args"]) == insecure, "without TLS only when that is said")
    promise(bool(secrets) != insecure, "with TLS, workers have certificate and token")
    keda = values.get("keda", {}).get("enabled", False)
    promise(("replicas" in worker) != keda, "with KEDA, the chart sets no number of workers")
    promise(("ScaledObject" in by_kind) == keda, "KEDA's object is there when it is asked for")
    if keda:
        promise("--worker-wait=1800" in coordinator["args"], "a job waits until KEDA has started its first worker")
        (trigger,) = by_kind["ScaledObject"]["spec"]["triggers"]
        promise(trigger["type"] == "external", "KEDA asks the coordinator")
        service = next(d for d in found if d["kind"] == "Service" and d["metadata"]["name"].endswith("coordinator"))
        address = f"{service['metadata']['name']}.prod.svc:{service['spec']['ports'][0]['port']}"
        promise(trigger["metadata"]["scalerAddress"] == address, "KEDA finds the coordinator")
        target = by_kind["ScaledObject"]["spec"]["scaleTargetRef"]["name"]
        promise(target == by_kind["Deployment"]["metadata"]["name"], "KEDA scales the workers")
    for spec in (pod, by_kind["StatefulSet"]["spec"]["template"]["spec"]):
        mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        given = {volume["name"] for volume in spec["volumes"]} | {"state"}
        promise(mounted <= given, f"every mount has its volume: {mounted - given}")


def main(path: str) -> None:
    try:
        import helm_python as helm
    except ImportError:
        print("deploy/check: not checked: the Helm chart (no renderer for this machine)", file=sys.stderr)
        return
    faults = [message for message in helm.lint(path)["messages"] if 1 < message["severity"]]
    if faults:
        sys.exit(f"helm lint: {faults}")
    with helm.Chart.load(path) as chart:
        for name, values in FORMS.items():
            found = documents(chart, values)
            for document in found:
                fits(document)
            print(f"deploy/check: chart, {name}: {len(found)} objects", file=sys.stderr)
            keeps_promises(values, found)
        for name, values in REFUSED.items():
            try:
                chart.validate_schema(values)
            except helm.HelmError:
                continue
            sys.exit(f"the chart takes {name}: {values}")


if __name__ == "__main__":
    main(*sys.argv[1:])
