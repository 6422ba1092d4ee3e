# SPDX-License-Identifier: Apache-2.0
"""What a namespace holds, and what differs between two moments."""

import hashlib
import json

KINDS = (
    "deployments,statefulsets,daemonsets,replicasets,pods,configmaps,secrets,services,ingresses,networkpolicies,resourcequotas,limitranges,"
    "serviceaccounts,roles,rolebindings,persistentvolumeclaims,cronjobs,jobs,horizontalpodautoscalers"
)


MANAGED = (
    "deployment.kubernetes.io",
    "kubectl.kubernetes.io",
    "deprecated",
    "kubernetes.io/change-cause",
    "meta.helm.sh",
    "pv.kubernetes.io",
    "volume.",
    "backout.dev/",
    "autoscaling.alpha",
)


def normal(o, strict):
    m = o["metadata"]
    out = {
        "labels": m.get("labels") or {},
        "annotations": {k: v for k, v in (m.get("annotations") or {}).items() if not k.startswith(MANAGED)},
    }
    for k, v in o.items():
        if k in ("metadata", "apiVersion", "kind", "status"):
            continue
        v = json.loads(json.dumps(v))
        if k in ("data", "stringData") and o["kind"] == "Secret":
            v = {a: hashlib.sha256(str(b).encode()).hexdigest()[:8] for a, b in v.items()}
        if k == "spec" and o["kind"] == "PersistentVolumeClaim":
            v.pop("volumeName", None)
        if k == "spec" and o["kind"] == "Service" and v.get("clusterIP") != "None":
            [v.pop(x, None) for x in ("clusterIP", "clusterIPs")]
        if k == "spec" and o["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and not strict:
            t = v.get("template", {}).get("metadata", {})
            a = {
                x: y
                for x, y in (t.get("annotations") or {}).items()
                if "restartedAt" not in x and not x.startswith("backout.dev/")
            }
            t.pop("annotations", None)
            t.pop("creationTimestamp", None)
            if a:
                t["annotations"] = a
        out[k] = v
    return out


class State:
    def __init__(self, doc):
        self.loose, self.strict, self.uid, self.unready, self.pods = {}, {}, {}, [], {}
        for o in doc.get("items", []):
            kind, m, st = o["kind"], o["metadata"], o.get("status", {})
            key = f"{kind.lower()}/{m['name']}"
            self.uid[key] = m.get("uid")
            if kind == "Pod":
                if not m.get("deletionTimestamp") and st.get("phase") not in ("Failed", "Succeeded"):
                    self.pods[m["uid"]] = m.get("labels") or {}
                continue
            if kind == "ReplicaSet" and m.get("ownerReferences"):
                continue
            if key in ("configmap/kube-root-ca.crt", "serviceaccount/default"):
                continue
            if kind == "Job" and (m.get("ownerReferences") or "helm.sh/hook" in (m.get("annotations") or {})):
                continue
            if (
                (m.get("labels") or {}).get("owner") == "helm"
                and kind in ("Secret", "ConfigMap")
                and m["name"].startswith("sh.helm.release")
            ):
                self.strict[key] = (m.get("labels") or {}).get("status")
                continue
            self.loose[key], self.strict[key] = normal(o, False), normal(o, True)
            want = o.get("spec", {}).get("replicas", 1)
            if kind in ("Deployment", "StatefulSet"):
                n = [st.get(x, 0) or 0 for x in ("readyReplicas", "updatedReplicas", "replicas")]
                if kind == "StatefulSet" and st.get("currentRevision") == st.get("updateRevision"):
                    n[1] = n[2]
                if st.get("observedGeneration", 0) < m.get("generation", 0) or n != [want] * 3:
                    self.unready.append(key)
            if kind == "DaemonSet":
                n = [st.get(x, 0) or 0 for x in ("numberReady", "updatedNumberScheduled")]
                if (
                    st.get("observedGeneration", 0) < m.get("generation", 0)
                    or n != [st.get("desiredNumberScheduled", 0)] * 2
                ):
                    self.unready.append(key)


def differ(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            x
            for k in sorted(set(a) | set(b))
            for x in (
                differ(a[k], b[k], f"{path}.{k}")
                if k in a and k in b
                else [f"{path}.{k} " + ("came" if k in b else "went")]
            )
        ]
    return [] if a == b else [f"{path}: {json.dumps(a)[:70]} -> {json.dumps(b)[:70]}"]


def changed(a, b):
    """object -> its differences"""
    return {
        k: (differ(a[k], b[k], k) if k in a and k in b else [k + (" came" if k in b else " went")])
        for k in sorted(set(a) | set(b))
        if a.get(k) != b.get(k)
    }
