# SPDX-License-Identifier: Apache-2.0
"""Tables of the state database that are ours; those of the durable engine stand beside them in the same file."""

from __future__ import annotations

VERSION = 1

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
    capture TEXT NOT NULL DEFAULT '',
    capture_digest TEXT NOT NULL DEFAULT '',
    token INTEGER NOT NULL DEFAULT 0,
    undo_of TEXT NOT NULL DEFAULT '',
    undone_by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS backout_runs_started ON backout_runs(started);
CREATE TABLE IF NOT EXISTS backout_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES backout_runs(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    event BLOB NOT NULL,
    UNIQUE (run, key)
);
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
