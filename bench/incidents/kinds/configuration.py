# SPDX-License-Identifier: Apache-2.0
"""What programs read: keys that went, contents that do not load, objects that are elsewhere or not at all."""

from __future__ import annotations

from dataclasses import replace

from bench.incidents.kinds.common import CONFIGURATION, Scene, clone, newer, scene, set_image
from bench.incidents.objects import configmap, main, mount_configmap, name, pod, ref, secret, workload
from bench.incidents.situation import HELM, Draw, Expected, Situation, kind
from bench.incidents.steps import Edit, Fails, Gone, Kill, New, Restart, Settled, Upgrade, Wait
from kubetwin.client import Obj

GOOD = "listen: 8080\nworkers: 4\n"


def _own(found: Scene, of: str, *words: str, innocent: bool = True) -> Expected:
    """An object of the stack is to blame, not the workload that reads it."""
    cleared = (found.of,) if innocent else ()
    expected = found.expected(of, *words, innocent=cleared)
    if found.actor == HELM:
        return Expected(((f"helm/{found.release}|{of}", name(of), *words),), ("recovered",))
    return expected


@kind(CONFIGURATION, 6)
def key_that_was_removed(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "statefulset"), actor=draw.hand())
    called, key = f"{found.app}-settings", draw.choice(("LEVEL", "DB_HOST", "TENANT"))
    source = draw.choice(("configmap", "secret"))
    holder = (
        configmap(called, MODE="fast", **{key: "a"})
        if source == "configmap"
        else secret(called, MODE="fast", **{key: "a"})
    )
    how = "configMapKeyRef" if source == "configmap" else "secretKeyRef"
    main(found.obj())["env"] = [{"name": key, "valueFrom": {how: {"name": called, "key": key}}}]
    found.objects.insert(0, holder)

    def change(obj: Obj) -> None:
        del obj["data"][key]

    of = f"{source}/{called}"
    # Who takes a key away leaves no trace of his name.
    expected = replace(_own(found, of, key), names=((of, key),))
    return found.situation(expected, Edit(of, change, found.actor), Kill(found.app))


@kind(CONFIGURATION, 6)
def key_renamed_by_another_release(draw: Draw, number: int) -> Situation:
    """One release makes a Secret that another one's program reads."""
    found = scene(draw, 0, shapes=("deployment", "statefulset"), quiet=number % 2 == 0)
    other, called = f"{found.release}-db", f"{found.app}-credentials"
    old, new = draw.choice((("password", "db-password"), ("url", "DATABASE_URL"), ("token", "apiToken")))
    env = {"name": "CREDENTIAL", "valueFrom": {"secretKeyRef": {"name": called, "key": old}}}
    main(found.obj())["env"] = [env]
    provider = draw.name()
    made = [
        secret(called, user="app", **{old: "s3cret"}),
        workload("deployment", provider, draw.image(provider), replicas=1),
    ]

    def change(obj: Obj) -> None:
        obj["data"][new] = obj["data"].pop(old)

    upgrade = Upgrade(other, ((f"secret/{called}", change),))
    expected = Expected(
        ((f"helm/{other}|secret/{called}", called, f"{old}|{new}"),),
        ("recovered",),
        innocent=(found.of, f"helm/{found.release} went to revision"),
    )
    return found.situation(expected, upgrade, Wait(1), Kill(found.app), others={other: made})


@kind(CONFIGURATION, 6)
def content_that_does_not_load(draw: Draw, number: int) -> Situation:
    file = draw.choice(("app.yaml", "server.yml", "rules.yaml"))
    called = f"conf-{number}"
    found = scene(draw, number, args=[f"--app.config-file=/etc/conf/{file}"])
    if number % 3 == 0:
        found.actor = draw.hand()
    found.objects.insert(0, configmap(called, **{file: GOOD}))
    mount_configmap(found.obj(), called, "/etc/conf")
    bad = draw.choice(("listen: [8080\n", "workers: {4\n", "listen: 8080\n  workers: : 4\n"))

    def change(obj: Obj) -> None:
        obj["data"][file] = bad

    of = f"configmap/{called}"
    return found.situation(_own(found, of, file), Edit(of, change, found.actor), Wait(1), Restart(found.of))


@kind(CONFIGURATION)
def configmap_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, shapes=("deployment", "statefulset"))
    called = f"{found.app}-conf"
    found.objects.insert(0, configmap(called, **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), called, "/etc/conf")
    expected = Expected(((f"configmap/{called}",),), ("recovered", "approval"), ("takeover",))
    return found.situation(expected, Gone(f"configmap/{called}"), Kill(found.app))


@kind(CONFIGURATION)
def pull_secret_that_was_deleted(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=("deployment", "statefulset"))
    called = draw.choice(("regcred", "harbor", "registry-login"))
    login = '{"auths":{"registry.local":{"auth":"dTpw"}}}'
    found.objects.insert(0, secret(called, "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": login}))
    pod(found.obj())["imagePullSecrets"] = [{"name": called}]
    of = f"secret/{called}"
    expected = Expected(((of,),), ("recovered", "approval"), ("takeover",), innocent=(found.of,))
    return found.situation(expected, Gone(of), Fails(found.of, "denied", until=of), Kill(found.app))


@kind(CONFIGURATION)
def mounted_elsewhere(draw: Draw, number: int) -> Situation:
    found = scene(draw, number, args=["--config=/etc/conf/app.ini"])
    called = f"{found.app}-conf"
    found.objects.insert(0, configmap(called, **{"app.ini": "a=b"}))
    mount_configmap(found.obj(), called, "/etc/conf")
    where = draw.choice(("/etc/config", "/conf", "/etc/conf.d"))

    def change(obj: Obj) -> None:
        main(obj)["volumeMounts"][0]["mountPath"] = where

    log = "fatal: open /etc/conf/app.ini: no such file or directory"
    return found.situation(
        found.expected(found.of, "volumeMounts|mountPath"), found.change(change, fault="crash", log=log)
    )


@kind(CONFIGURATION)
def hashed_name(draw: Draw, number: int) -> Situation:
    """As kustomize makes them: a new ConfigMap with a hash in its name, and a template that refers to it."""
    found = scene(draw, 1, shapes=("deployment", "statefulset")[number % 2 :], actor="kubectl-client-side-apply")
    old, new = f"{found.app}-conf-{draw.getrandbits(32):08x}", f"{found.app}-conf-{draw.getrandbits(32):08x}"
    main(found.obj())["args"] = ["--app.config-file=/etc/conf/app.yaml"]
    found.objects.insert(0, configmap(old, **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), old, "/etc/conf")

    def change(obj: Obj) -> None:
        pod(obj)["volumes"][0]["configMap"]["name"] = new

    made = New(configmap(new, **{"app.yaml": "listen: [8080\n"}))
    return found.situation(found.expected(found.of, new), made, found.change(change))


@kind(CONFIGURATION)
def edited_and_read_later(draw: Draw, number: int) -> Situation:
    """Edited long before somebody restarts a pod; the restart is not the cause."""
    found = scene(draw, number, shapes=("deployment",), args=["--app.config-file=/etc/conf/app.yaml"], replicas=2)
    found.objects.insert(0, configmap("conf", **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), "conf", "/etc/conf")
    found.actor = draw.hand()

    def change(obj: Obj) -> None:
        obj["data"]["app.yaml"] = "workers: {4\n"

    edit = Edit("configmap/conf", change, found.actor)
    return found.situation(
        _own(found, "configmap/conf", "app.yaml"), edit, Wait(draw.choice((8, 15))), Kill(found.app, 1)
    )


@kind(CONFIGURATION)
def two_readers_of_one_object(draw: Draw, number: int) -> Situation:
    found = scene(draw, number + 1, shapes=("deployment",), args=["--app.config-file=/etc/conf/app.yaml"])
    found.objects.insert(0, configmap("shared", **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), "shared", "/etc/conf")
    second = clone([found.obj()])[0]
    called = draw.name()
    second["metadata"] = {"name": called, "labels": {"app": called}}
    second["spec"]["selector"]["matchLabels"] = {"app": called}
    second["spec"]["template"]["metadata"]["labels"] = {"app": called}
    main(second)["name"] = called
    found.objects.append(second)
    if number > 1:
        found.actor = draw.hand()

    def change(obj: Obj) -> None:
        obj["data"]["app.yaml"] = "listen: [1\n"

    edit = Edit("configmap/shared", change, found.actor)
    return found.situation(
        _own(found, "configmap/shared", "app.yaml"), edit, Wait(1), Restart(found.of), Restart(ref(second))
    )


@kind(CONFIGURATION)
def innocent_edit_beside_a_bad_image(draw: Draw, number: int) -> Situation:
    """The program says which file it loads, and dies of its own new image."""
    found = scene(draw, number, shapes=("deployment", "statefulset"), args=["--app.config-file=/etc/conf/app.yaml"])
    found.objects.insert(0, configmap("conf", **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), "conf", "/etc/conf")

    def tune(obj: Obj) -> None:
        obj["data"]["app.yaml"] = "listen: 8080\nworkers: 8\n"

    bad = newer(found.obj(), "crash-exit3", draw)
    found.before += [Edit("configmap/conf", tune, draw.hand() if not found.release else HELM), Settled()]
    expected = found.expected(found.of, "image", bad.rpartition(":")[2], innocent=("configmap/conf",))
    if found.actor == HELM:
        expected = Expected(expected.names, expected.outcomes)
    log = "loading configuration from /etc/conf/app.yaml\npanic: nil pointer dereference"
    return found.situation(expected, found.change(set_image(bad), fault="crash-exit3", log=log))


@kind(CONFIGURATION)
def object_that_is_gone_and_no_snapshot(draw: Draw, number: int) -> Situation:
    """The pods' own words and that they ran once say what is missing; nobody knows what was in it."""
    found = scene(draw, 1, shapes=("deployment",))
    called = f"{found.app}-{draw.choice(('login', 'api-keys', 'license'))}"
    found.objects.insert(0, secret(called, TOKEN="t0"))
    main(found.obj())["envFrom"] = [{"secretRef": {"name": called}}]
    expected = Expected(((f"secret/{called}",),), ("refused",), innocent=(found.of,))
    return found.situation(expected, Gone(f"secret/{called}"), Kill(found.app), snapshot=False)


@kind(CONFIGURATION)
def reference_that_was_pruned(draw: Draw, number: int) -> Situation:
    """A hashed name: the new object does not load, and the old one was pruned; the old template alone is no way back."""
    found = scene(draw, 1, shapes=("deployment",))
    old, new = (f"{found.app}-conf-{draw.randint(1000, 4999)}", f"{found.app}-conf-{draw.randint(5000, 9999)}")
    found.objects.insert(0, configmap(old, **{"app.yaml": GOOD}))
    mount_configmap(found.obj(), old, "/etc/conf")
    main(found.obj())["args"] = ["--config-file=/etc/conf/app.yaml"]

    def change(obj: Obj) -> None:
        for volume in pod(obj)["volumes"]:
            if volume.get("configMap", {}).get("name") == old:
                volume["configMap"]["name"] = new

    bad = configmap(new, **{"app.yaml": "workers: [4"})
    expected = Expected(((found.of, f"{new}|volumes*"),), ("recovered", "refused"))
    faults = (New(bad, found.actor), found.change(change), Wait(6.0), Gone(f"configmap/{old}"))
    return found.situation(expected, *faults)
