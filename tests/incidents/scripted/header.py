# SPDX-License-Identifier: Apache-2.0
"""What stands in the header of a case, and how its words are matched."""

import re
import shlex

MANY = ("NAMES", "NOT_BLAMED", "KEPT", "LEFT", "REST", "TOLD", "NOT_TOLD")


def read_header(path):
    head = {k: [] for k in MANY}
    for line in open(path):
        m = re.match(r"# ([A-Z_]+): ?(.*)", line)
        if m and m[1] in MANY:
            head[m[1]].append(m[2].strip())
        elif m:
            head[m[1]] = m[2].strip()
        elif not line.startswith("#"):
            break
    return head


def hit(entry, text):
    """Whether every word of the entry is in the text; a|b: one of them, word*: a beginning."""

    def one(w):
        w = w.lower()
        tail = "" if w.endswith("*") else r"(?![\w-])"
        return re.search(r"(?<![\w-])" + re.escape(w.rstrip("*")) + tail, text) is not None

    words = shlex.split(re.sub(r'(?<=")\|(?=")|(?<=")\|(?=\S)|(?<=\S)\|(?=")', "|", entry))
    return all(any(one(a) for a in w.split("|")) for w in words)


def items_of(entry):
    return shlex.split(entry)
