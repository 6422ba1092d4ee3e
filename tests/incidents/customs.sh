# Sourced by cases, after lib.sh: custom resources without their operators, and what an operator writes, by its own name.
# crd GROUP VERSION KIND PLURAL [GROUP VERSION KIND PLURAL …]: namespaced kinds of any content, with a status of its own. They stay
# after a case: two cases may use the same kind at once.
crd(){ while [ $# -ge 4 ]; do printf -- '---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: %s.%s}\nspec: {group: %s, scope: Namespaced, names: {kind: %s, plural: %s, singular: %s, listKind: %sList}, versions: [{name: %s, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n' "$4" "$1" "$1" "$3" "$4" "$(printf %s "$3" | tr A-Z a-z)" "$3" "$2"; shift 4; done | kc apply --server-side -f - >/dev/null; sleep 2; }
# op NAME: objects from stdin, written by the program of that name
op(){ k apply --server-side --force-conflicts --field-manager="$1" -f - >/dev/null; }
# own KIND.GROUP/NAME: an ownerReference of a controller to it
own(){ k get "$1" -o jsonpath='{"{apiVersion: "}{.apiVersion}{", kind: "}{.kind}{", name: "}{.metadata.name}{", uid: "}{.metadata.uid}{", controller: true, blockOwnerDeletion: true}"}'; }
# said KIND.GROUP/NAME JSON [MANAGER]: its status, with observedGeneration of now
said(){ local g; g=$(k get "$1" -o jsonpath='{.metadata.generation}'); k patch "$1" --subresource=status --field-manager="${3:-operator}" --type merge -p "{\"status\": $(python3 -c 'import json,sys; d=json.loads(sys.argv[1]); d.setdefault("observedGeneration", int(sys.argv[2])); print(json.dumps(d))' "$2" "$g")}" >/dev/null; }
# cond TYPE STATUS [REASON [MESSAGE]]: a condition that turned now
cond(){ printf '{"type":"%s","status":"%s","reason":"%s","message":"%s","lastTransitionTime":"%s"}' "$1" "$2" "${3:-$1}" "${4:-}" "$(date -u +%FT%TZ)"; }
# made NAME IMAGE REPLICAS OWNER [MORE OF THE CONTAINER]: a Deployment that an operator makes
made(){ printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, ownerReferences: [%s]}\nspec: {replicas: %s, progressDeadlineSeconds: 20, selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: main, image: "%s", ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}%s}]}}}\n' "$1" "$4" "$3" "$1" "$1" "$2" "${5:+, $5}"; }
# madeset NAME IMAGE REPLICAS OWNER [MORE OF THE CONTAINER]: a StatefulSet that an operator makes
madeset(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: %s, ownerReferences: [%s]}\nspec: {serviceName: %s, replicas: %s, selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: main, image: "%s"%s}]}}}\n' "$1" "$4" "$1" "$3" "$1" "$1" "$2" "${5:+, $5}"; }
# ev KIND/NAME REASON MESSAGE [TYPE]: an event of now
ev(){ k get "$1" -o json | python3 -c '
import datetime, json, sys
obj, (ns, reason, text, kind) = json.load(sys.stdin), sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc)
at, name, meta = now.strftime("%Y-%m-%dT%H:%M:%SZ"), obj["metadata"]["name"], obj["metadata"]
of = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "namespace": ns, "name": name, "uid": meta["uid"]}
print(json.dumps({"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{int(now.timestamp()*1e6):x}", "namespace": ns}, "involvedObject": of, "reason": reason, "message": text, "type": kind, "firstTimestamp": at, "lastTimestamp": at, "count": 1, "source": {"component": "controller"}}))' "$NS" "$2" "$3" "${4:-Warning}" | k create -f - >/dev/null; }
