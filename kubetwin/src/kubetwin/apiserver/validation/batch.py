# SPDX-License-Identifier: Apache-2.0
"""Validation of Jobs and CronJobs. Source: pkg/apis/batch/validation."""

from __future__ import annotations

import re
from typing import Any

from kubetwin.apiserver.validation import metadata, pods
from kubetwin.apiserver.validation.errors import Errors

Object = dict[str, Any]

_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MODES = ("NonIndexed", "Indexed")
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_FROZEN = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
# A CronJob appends eleven characters to its name for those of its jobs.
_CRON_NAME = 52
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def job(errors: Errors, new: Object, old: Object | None) -> None:
    """A Job."""
    spec = new.get("spec") or {}
    job_spec(errors, spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        # The server generates one before it validates, unless the Job says that it brings its own.
        if spec.get("manualSelector"):
            errors.required("spec.selector")
    else:
        uid = (new.get("metadata") or {}).get("uid")
        if not spec.get("manualSelector") and uid and selector not in _generated(uid):
            errors.invalid("spec.selector", selector, "`selector` not auto-generated")
        metadata.selector(errors, selector, "spec.selector")
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if metadata.well_formed(selector) and not metadata.matches(selector, labels):
            errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if old is not None:
        _job_kept(errors, spec, old.get("spec") or {})


def _generated(uid: str) -> list[Object]:
    """Selectors as the server makes them, now and before prefixed labels."""
    return [{"matchLabels": {label: uid}} for label in ("batch.kubernetes.io/controller-uid", "controller-uid")]


def _job_kept(errors: Errors, spec: Object, before: Object) -> None:
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    if not elastic:
        errors.immutable("spec.completions", spec.get("completions"), before.get("completions"))
    errors.immutable("spec.selector", spec.get("selector"), before.get("selector"))
    if not before.get("suspend"):
        errors.immutable("spec.template", spec.get("template"), before.get("template"))
    for field in _FROZEN:
        errors.immutable(f"spec.{field}", spec.get(field), before.get(field))


def job_spec(errors: Errors, spec: Object, path: str) -> None:
    """The spec of a Job, its selector apart."""
    for field in _COUNTS:
        errors.non_negative(f"{path}.{field}", spec.get(field))
    mode = spec.get("completionMode")
    if mode is not None and mode not in _MODES:
        errors.not_supported(f"{path}.completionMode", mode, _MODES)
    if mode == "Indexed":
        if spec.get("completions") is None:
            errors.required(f"{path}.completions", "when completion mode is Indexed")
        if (spec.get("parallelism") or 0) > 100000:
            text = "must be less than or equal to 100000 when completion mode is Indexed"
            errors.invalid(f"{path}.parallelism", spec["parallelism"], text)
    else:
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(field) is not None:
                errors.invalid(f"{path}.{field}", spec[field], "requires indexed completion mode")
    template = spec.get("template") or {}
    pods.template(errors, template, f"{path}.template")
    restart = (template.get("spec") or {}).get("restartPolicy") or ""
    place = f"{path}.template.spec.restartPolicy"
    if restart in ("Always", ""):
        errors.required(place, 'valid values: "OnFailure", "Never"')
    elif restart not in ("OnFailure", "Never"):
        errors.not_supported(place, restart, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and restart != "Never":
        errors.invalid(place, restart, 'only "Never" is supported when podFailurePolicy is specified')


def cron_job(errors: Errors, new: Object, old: Object | None) -> None:
    """A CronJob."""
    spec = new.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        errors.required("spec.schedule")
    else:
        problem = schedule_problem(schedule)
        if problem:
            errors.invalid("spec.schedule", schedule, problem)
        if "TZ" in schedule:
            text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            errors.invalid("spec.schedule", schedule, text)
    errors.non_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    policy = spec.get("concurrencyPolicy") or ""
    errors.one_of("spec.concurrencyPolicy", policy, _CONCURRENCY)
    job_template = (spec.get("jobTemplate") or {}).get("spec") or {}
    if job_template.get("manualSelector"):
        errors.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    job_spec(errors, job_template, "spec.jobTemplate.spec")
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors.non_negative(f"spec.{field}", spec.get(field))
    name = (new.get("metadata") or {}).get("name") or ""
    if old is None and len(name) > _CRON_NAME:
        errors.invalid("metadata.name", name, f"must be no more than {_CRON_NAME} characters")


def schedule_problem(schedule: str) -> str:
    """What the cron parser says against a schedule; empty when it is fine."""
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        schedule = schedule.partition(" ")[2].strip()
    if schedule.startswith("@"):
        if schedule in _DESCRIPTORS or re.fullmatch(r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+", schedule):
            return ""
        return f"unrecognized descriptor: {schedule}"
    fields = schedule.split()
    if len(fields) != 5:
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for index, text in enumerate(fields):
        low, high = _FIELDS[index]
        for part in text.split(","):
            problem = _part_problem(part, low, high, index)
            if problem:
                return problem
    return ""


def _part_problem(part: str, low: int, high: int, index: int) -> str:
    span, slash, step = part.partition("/")
    if slash and (not step.isdigit() or int(step) == 0):
        if step.isdigit():
            return f"step of range should be a positive number: {part}"
        return f'failed to parse int from {step}: strconv.Atoi: parsing "{step}": invalid syntax'
    if span in ("*", "?"):
        return ""
    ends: list[int] = []
    for end in span.split("-"):
        number = _number(end, index)
        if number is None:
            return f'failed to parse int from {end}: strconv.Atoi: parsing "{end}": invalid syntax'
        ends.append(number)
    if len(ends) > 2:
        return f"too many hyphens: {part}"
    first, last = ends[0], ends[-1]
    if first < low:
        return f"beginning of range ({first}) below minimum ({low}): {part}"
    if last > (6 if index == 4 else high):
        return f"end of range ({last}) above maximum ({6 if index == 4 else high}): {part}"
    if first > last:
        return f"beginning of range ({first}) beyond end of range ({last}): {part}"
    return ""


def _number(text: str, index: int) -> int | None:
    words = _MONTHS if index == 3 else _DAYS if index == 4 else ()
    if text.lower() in words:
        return words.index(text.lower()) + (1 if index == 3 else 0)
    return int(text) if text.isdigit() else None
