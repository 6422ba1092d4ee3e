# SPDX-License-Identifier: Apache-2.0
"""Tables of the state database that are ours; those of the durable engine stand beside them in the same file."""

from __future__ import annotations

VERSION = 4
"""1 knew one target a run: its token and capture stood with the run. 2 knew no steps beside each other. 3 knew no audit."""

TABLES = """
CREATE TABLE IF NOT EXISTS backout_plans (
    hash TEXT PRIMARY KEY,
    plan BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backout_runs (
    id TEXT PRIMARY KEY,
    plan TEXT NOT NULL REFERENCES backout_plans(hash),
    state TEXT NOT NULL,
    target TEXT NOT NULL,
    cluster TEXT NOT NULL,
    namespace TEXT NOT NULL,
    revision INTEGER NOT NULL,
    cause BLOB NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    actor TEXT NOT NULL,
    verdict BLOB,
    failure BLOB,
    aims BLOB NOT NULL DEFAULT x'5b5d',
    undo_of TEXT NOT NULL DEFAULT '',
    undone_by TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS backout_parts (
    run TEXT NOT NULL REFERENCES backout_runs(id) ON DELETE CASCADE,
    part TEXT NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    capture TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run, part)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS backout_runs_started ON backout_runs(started);
CREATE TABLE IF NOT EXISTS backout_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES backout_runs(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    event BLOB NOT NULL,
    n INTEGER NOT NULL DEFAULT 0,
    hash TEXT NOT NULL DEFAULT '',
    UNIQUE (run, key)
);
CREATE TABLE IF NOT EXISTS backout_chains (
    run TEXT PRIMARY KEY,
    n INTEGER NOT NULL,
    head TEXT NOT NULL,
    anchored INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backout_audit (
    n INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    type TEXT NOT NULL,
    run TEXT NOT NULL,
    data BLOB NOT NULL,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS backout_answers (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backout_owners (
    run TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    since TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS backout_aborts (
    run TEXT PRIMARY KEY,
    actor TEXT NOT NULL,
    at TEXT NOT NULL
);
"""

FROM_1 = """
ALTER TABLE backout_runs ADD COLUMN aims BLOB NOT NULL DEFAULT x'5b5d';
UPDATE backout_runs SET aims = backout_aims(cluster, namespace, target);
INSERT INTO backout_parts(run, part, token, capture, digest)
    SELECT id, '', token, capture, capture_digest FROM backout_runs;
ALTER TABLE backout_runs DROP COLUMN token;
ALTER TABLE backout_runs DROP COLUMN capture;
ALTER TABLE backout_runs DROP COLUMN capture_digest;
"""

CHAINED = """
ALTER TABLE backout_events ADD COLUMN n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backout_events ADD COLUMN hash TEXT NOT NULL DEFAULT '';
"""
"""For events that were kept before there was an audit: they are in no chain."""
