# SPDX-License-Identifier: Apache-2.0
"""Proves, or disproves, that a rollback worked: checks with measured values, over a soak.

Checks by code, with the parameters they take (all optional unless said otherwise; ``namespace`` defaults to that of
the target everywhere):

    workload-ready     the target is a workload (or ``kind``, ``name``): right revision (``images``: what containers
                       must run; ``hash``: ``pod-template-hash`` or ``controller-revision-hash``), the controller's
                       counters, every pod Ready, none terminating, none of another revision
    no-new-restarts    no container restarted during the soak; the pods of the target, of ``workloads``
                       (``[{"kind", "name"}]``), or of the namespace
    custom-resource    the custom resource (``api_version``, ``kind``, ``plural``, ``name``: needed) is as its operator
                       says, and so are the workloads made of it (``known``: those there were; ``changed``: its spec was)
    release-deployed   the Helm release's head is deployed, with the ``digest`` of the target revision
    revision-restored  the target is at the revision with that ``digest``, healthy or not (for an undo)
    live-restored      parts of ``objects`` have the digests that a run's capture noted (for an undo)
    left-over          parts of ``objects`` do not have the digests any more that the undone revision had given them
    left-out           the ``objects`` that a plan left out are there, each with the ``uid`` that it had
    endpoints          Services (``services``; else those that select the workload's pods, or all) have ready addresses;
                       ``idle``: of them those of parts that do not run, which may have none
    pvc-bound          claims (``names``; else those that the workload's pods mount, or all) are Bound
    pods-ready         pods (``labels``: a selector; else of the target or the namespace) are Ready
    object-present     the object (``api_version``, ``kind``, ``name``: needed; ``uid``) exists
    object-absent      it does not
    object-restored    the object (``kind``, ``name``) holds the content at ``address`` of the ``repository``
    config-reloaded    the containers of ``readers`` (``[{"workload": "statefulset/x", "container"}]``) work with what
                       the ConfigMap or Secret (``kind``, ``name``) holds now; ``since``: when it was written, if known
    object-storage     requests of ``readers`` (of the Secret or ConfigMap ``kind``, ``name``) to object storage succeed
    requests-forwarded no request of ``readers``, receivers of a hashring (``kind``, ``name``), to another one fails
    read-objects       what the template in force of a workload (``kind``, ``name``) needs to start pods is there
    nothing-broken     a diagnosis of the target, or of its namespace, finds nothing (``standing``: of what objects show
                       as they are, since other signs may be old); measured by who asks, as it is no measurement of its own
    service-answers    every TCP port of ``services`` accepts connections (``any``: at least one that speaks HTTP)
    ingress-answers    every route of ``ingress`` answers as ``expect`` says (``[{"host", "path", "status",
                       "marker"}]``), else as the Service answers that it names
    git-synced         the application (``name``) is synced to a commit after ``since`` that has the files of ``wanted`` as
                       they are to be, and says that it is healthy
    owner-quiet        ``owner``, who keeps the target as its source says, had its turn (``seconds``) and undid nothing
    http-answer        a GET of ``path`` from ``ingress`` (``host``) or ``service`` (``port``) is answered with
                       ``status``, and the answer holds ``contains``: the checks that the configuration asks for

Unknown means that it could not be measured (no right, no answer): never a pass.
"""
